import { MemoryBudget } from '../core/budget.ts';
import { NO_CHUNKS } from '../core/chunks.ts';
import type { FileSpan } from '../core/content.ts';
import type { ByteRange } from '../core/ranges.ts';
import type { Http } from '../http/http.ts';
import type { Reading } from './assembled.ts';
import { Coverage } from './coverage.ts';
import { RangesBelongTogether } from './open-range.ts';
import { scatter } from './scatter.ts';
import { timedStages } from './stages.ts';

/** Fetched and not yet written: a kill costs no more than this, and what is under way. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

/** Gives all of a read but what is there already to `write`, in whatever order it comes. */
export async function scatterAll(
  { stages, context, running }: Reading,
  had: readonly ByteRange[],
  write: (content: FileSpan) => Promise<void>,
  http: Http,
): Promise<void> {
  const backlog = new MemoryBudget(Math.min(BACKLOG_BYTES, context.budget.limitBytes), 0);
  const written = new Coverage();
  for (const { start, end } of had) written.add(start, end - start, NO_CHUNKS);
  const options = {
    ...running,
    write: async (content: FileSpan) => {
      await write(content);
      written.add(content.at, content.bytes.length, NO_CHUNKS);
    },
  };
  await planningAgain(async () => {
    for await (const stage of timedStages(stages, [...written.parts], http.log)) {
      const scattering = scatter(stage, { ...context, backlog }, options);
      await http.log.timed('waitingForData', () => scattering);
    }
  });
}

/** Does some work; once more where a server serves all ranges of an address or none, which is known from then on. */
async function planningAgain(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof RangesBelongTogether)) throw error;
    await planningAgain(work);
  }
}
