import { serveChunkStores } from '../../src/cache/chunks/chunk-store.worker.ts';
import { sampleHash } from '../support/chunk-samples.ts';

// Stores chunks like the codec worker, with the hash of the samples; on request in files of any size.
const minFileBytes = new URLSearchParams(self.location.search).get('minFileBytes');
serveChunkStores(self, async () => sampleHash, minFileBytes === null ? undefined : Number(minFileBytes));
