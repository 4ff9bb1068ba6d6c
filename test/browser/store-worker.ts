import { serveChunkStores } from '../../src/cache/chunks/chunk-store.worker.ts';
import { sampleHash } from '../support/chunk-samples.ts';

// Keeps chunks as the codec worker does, by the hash of the samples; as it is told, in files however little it is.
const minFileBytes = new URLSearchParams(self.location.search).get('minFileBytes');
serveChunkStores(self, async () => sampleHash, minFileBytes === null ? undefined : Number(minFileBytes));
