import { parentPort } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { loadCodec } from '../src/codec.node.ts';
import { serveCodec } from './serve.ts';

if (!parentPort) throw new Error('This is the codec worker of xetkit: it runs in a worker thread.');
serveCodec(loadCodec, nodeEndpoint(parentPort));
