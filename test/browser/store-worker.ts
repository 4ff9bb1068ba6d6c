import { serveChunkStores } from '../../src/cache/chunks/chunk-store.worker.ts';
import { sampleHash } from '../support/chunk-samples.ts';

// Keeps chunks as the codec worker does, by the hash of the samples; as it is told, in files however little it is.
const fileBytes = new URLSearchParams(self.location.search).get('fileBytes');
serveChunkStores(self, async () => sampleHash, fileBytes === null ? undefined : Number(fileBytes));
