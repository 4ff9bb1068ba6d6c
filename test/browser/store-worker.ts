import { serveChunkStores } from '../../src/cache/chunk-store.remote.ts';
import { sampleHash } from '../cache/chunk-samples.ts';

// Keeps chunks as the codec worker does, by the hash of the samples.
serveChunkStores(self, async () => sampleHash);
