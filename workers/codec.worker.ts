import { Codec } from '../src/codec/codec.ts';
import { servePartialFiles } from '../src/save/partial-worker.ts';
import { serveCodec } from './serve.ts';

serveCodec(() => Codec.load());
servePartialFiles(self);
