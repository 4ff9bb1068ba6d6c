// @ts-check
import { orderOfPage, report } from './download.mjs';

const order = orderOfPage();

/** @returns {Promise<import('./download.mjs').Outcome>} */
async function ask() {
  await navigator.serviceWorker.register('./service-worker.mjs', { type: 'module' });
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  active?.postMessage(order, [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
}

ask()
  .catch((error) => ({ error: String(error) }))
  .then((outcome) => report(order, outcome));
