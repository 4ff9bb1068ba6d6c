import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/umd/node-adapter.js';
import { diskService } from '../client/disk-service.node.ts';

if (!parentPort) throw new Error('This is the disk thread of xetkit: it runs in a worker thread.');
expose(diskService(), nodeEndpoint(parentPort));
