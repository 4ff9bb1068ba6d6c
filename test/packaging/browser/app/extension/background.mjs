// @ts-check
import { XetClient } from 'xetkit';
import { download, report } from '../download.mjs';

/** @typedef {{ tabs: { create: (options: { url: string }) => void }, runtime: { getURL: (path: string) => string } }} Chrome */
const { tabs, runtime } = /** @type {{ chrome: Chrome }} */ (/** @type {unknown} */ (globalThis)).chrome;

async function start() {
  /** @type {Record<'page' | 'background', import('../download.mjs').Order>} */
  const orders = await (await fetch(runtime.getURL('orders.json'))).json();
  tabs.create({ url: `page.html?${new URLSearchParams({ order: JSON.stringify(orders.page) })}` });
  await report(orders.background, await download(XetClient, orders.background));
}

start();
