import type { Http } from '../http/http.ts';
import type { ByteRange } from '../ranges.ts';
import { MemoryBudget } from './budget.ts';
import type { Reading } from './engine.ts';
import { scatter } from './scatter.ts';
import type { Content } from './shares.ts';
import { timedStages } from './stages.ts';

/** Fetched and not yet written: a kill costs no more than this, and what is under way. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

/** Gives all of a read but what is there already to `write`, in whatever order it comes. */
export async function scatterAll(
  { stages, context, running }: Reading,
  had: readonly ByteRange[],
  write: (content: Content) => Promise<void>,
  http: Http,
): Promise<void> {
  const backlog = new MemoryBudget(Math.min(BACKLOG_BYTES, context.budget.limitBytes), 0);
  for await (const stage of timedStages(stages, had, http.log)) {
    const scattering = scatter(stage, { ...context, backlog }, { ...running, write });
    await http.log.timed('waitingForData', () => scattering);
  }
}
