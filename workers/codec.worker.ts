import { serveChunkStores } from '../src/cache/chunk-store.remote.ts';
import { Codec } from '../src/codec/codec.ts';
import { servePartialFiles } from '../src/save/partial-worker.ts';
import { serveCodec } from './serve.ts';

serveCodec(() => Codec.load());
servePartialFiles(self);
serveChunkStores(self);
