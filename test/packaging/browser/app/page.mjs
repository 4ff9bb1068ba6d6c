// @ts-check
import { XetClient } from 'xetkit';
import { download, orderOfPage, report } from './download.mjs';

const order = orderOfPage();
download(XetClient, order).then((outcome) => report(order, outcome));
