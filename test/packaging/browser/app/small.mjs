// @ts-check
import { XetReader } from 'xetkit/read';
import { orderOfPage, read, report } from './download.mjs';

const order = orderOfPage();
// It can decode in workers only.
read(
  (options) => new XetReader(options),
  order,
  () => 'workers',
).then((outcome) => report(order, outcome));
