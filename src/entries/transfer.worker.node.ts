import { parentPort } from 'node:worker_threads';
import { loadCodec } from '../codec/load.node.ts';
import { serveTransfers } from '../download/transfer/serve.node.ts';
import { nodeFetch } from '../http/network-fetch.node.ts';

if (!parentPort) throw new Error('This is the transfer worker of xetkit: it runs in a worker thread.');
serveTransfers(parentPort, nodeFetch, loadCodec);
