// @ts-check
import { orderOfPage, report } from './download.mjs';

const order = orderOfPage();
const worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' });
worker.addEventListener('message', ({ data }) => void report(order, data));
worker.addEventListener('error', ({ message }) => void report(order, { error: `the worker failed: ${message}` }));
worker.postMessage(order);
