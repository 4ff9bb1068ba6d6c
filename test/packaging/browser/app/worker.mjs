// @ts-check
import { XetClient } from 'xetkit';
import { download } from './download.mjs';

addEventListener('message', async ({ data }) => postMessage(await download(XetClient, data)));
