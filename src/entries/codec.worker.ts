import { serveChunkStores } from '../cache/chunks/chunk-store.worker.ts';
import { Codec } from '../codec/codec.ts';
import { serveCodec } from '../codec/serve.ts';
import { servePartialFiles } from '../files/opfs/partial-worker.ts';

serveCodec(() => Codec.load());
servePartialFiles(self);
serveChunkStores(self);
