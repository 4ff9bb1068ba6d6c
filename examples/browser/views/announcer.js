// @ts-check
// Progress in words, for those who do not see the bar. A change of every percent would be noise.
import { bytes, percent } from '../format.js';
import { store } from '../state.js';
import { byId, setText } from './dom.js';

const STEPS = 4;

export function announcer() {
  const region = byId('announcer', HTMLElement);
  let last = '';
  store.show(({ status, job, transfer }) => {
    if (status !== 'running' || !job || !transfer?.file) {
      last = '';
      return;
    }
    const { size } = transfer.file;
    const step = Math.floor((transfer.done / Math.max(1, size)) * STEPS);
    const key = `${job.path} ${step}`;
    if (key === last) return;
    last = key;
    if (step > 0 && step < STEPS) setText(region, `${percent(transfer.done, size)} of ${bytes(size)}`);
  });
}
