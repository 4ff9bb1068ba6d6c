import { parentPort } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { loadCodec } from '../codec/load.node.ts';
import { serveCodec } from '../codec/serve.ts';

if (!parentPort) throw new Error('This is the codec worker of xetkit: it runs in a worker thread.');
serveCodec(loadCodec, nodeEndpoint(parentPort));
