import { Codec } from '../../../src/codec/codec.ts';
import { serveCodec } from '../../../src/codec/serve.ts';

// A codec worker that also closes itself when a page says so: browsers report that with no event.
declare const self: { close(): void };

serveCodec(() => Codec.load());
new BroadcastChannel('dead-worker').addEventListener('message', () => self.close());
