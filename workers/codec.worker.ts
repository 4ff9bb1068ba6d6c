import { Codec } from '../src/codec/codec.ts';
import { serveCodec } from './serve.ts';

serveCodec(() => Codec.load());
