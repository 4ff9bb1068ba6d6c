// @ts-check
import { XetDownloader } from 'xetkit/download';
import { orderOfPage, read, report } from './download.mjs';

const order = orderOfPage();
// It can decode in workers only.
read(
  (options) => new XetDownloader(options),
  order,
  () => 'workers',
).then((outcome) => report(order, outcome));
