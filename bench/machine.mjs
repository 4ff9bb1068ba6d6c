// @ts-check
import { availableParallelism, loadavg, release, totalmem, type } from 'node:os';
import { version } from 'node:process';

/** What the figures depend on, and nothing that tells whose machine it is. */
export function describeMachine() {
  return {
    processors: availableParallelism(),
    memoryGB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split('-')[0]}`,
    node: version,
    // More than there are processors: others were at work on the machine, and figures are lower than they could be.
    loadAtEnd: Number(loadavg()[1]?.toFixed(1)),
  };
}
