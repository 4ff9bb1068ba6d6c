// @ts-check
import { XetClient } from 'xetkit';
import { download } from './download.mjs';

addEventListener('message', (event) => {
  const answer = download(XetClient, event.data).then((outcome) => event.ports[0]?.postMessage(outcome));
  // Or the browser may end this worker meanwhile.
  /** @type {{ waitUntil?: (work: Promise<unknown>) => void }} */ (event).waitUntil?.(answer);
});
