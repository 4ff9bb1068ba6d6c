import { describe, expect, test } from 'vitest';
import { memoryChunkStore } from '../../../src/cache/chunks/chunk-store.memory.ts';
import { chunkStoreContract } from '../../support/chunk-store-contract.ts';

describe('chunks in memory', () => {
  chunkStoreContract(
    { shared: false, place: async () => ({ open: async (options) => memoryChunkStore(options) }) },
    { test, equal: (found, expected, note) => expect(found, note).toEqual(expected) },
  );
});
