import type { FileSpan } from '../core/content.ts';
import type { MetricsLog } from '../core/metrics.ts';
import type { ByteRange } from '../core/ranges.ts';
import { assemble } from './assemble.ts';
import type { RunOptions } from './local-part.ts';
import { RangesBelongTogether } from './open-range.ts';
import type { JobContext } from './range-job.ts';
import { type Stages, timedStages } from './stages.ts';

/** Dependencies of a read over Xet. */
export interface Reading {
  stages: Stages;
  context: JobContext;
  running: RunOptions;
}

/** All of a read but what is there already, in file order. */
export async function* assembleAll(
  { stages, context, running }: Reading,
  had: readonly ByteRange[],
  lookAhead: () => number,
  log: MetricsLog,
): AsyncGenerator<FileSpan, void, undefined> {
  let given = 0;
  for (let planned = false; !planned; ) {
    const there = [{ start: 0, end: given }, ...had.filter(({ end }) => end > given)];
    try {
      for await (const stage of timedStages(stages, given > 0 ? there : had, log)) {
        for await (const content of assemble(stage, context, { ...running, lookAhead })) {
          given = content.at + content.bytes.length;
          yield content;
        }
      }
      planned = true;
    } catch (error) {
      // What has been learned of the server makes another plan for the rest.
      if (!(error instanceof RangesBelongTogether)) throw error;
    }
  }
}
