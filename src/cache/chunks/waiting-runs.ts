import type { ChunkRun } from './chunk-store.ts';

/** A run of chunks of a xorb that is to be kept. */
export interface WaitingRun {
  xorb: string;
  run: ChunkRun;
}

/** Runs of one xorb, each beginning where the one before ends. */
export interface RowOfRuns {
  xorb: string;
  runs: ChunkRun[];
}

/** Puts together what follows each other, up to so many bytes: what is kept at once takes as many calls as one run. */
export function inRows(waiting: readonly WaitingRun[], mostBytes: number): RowOfRuns[] {
  const ordered = [...waiting].sort(
    (a, b) => (a.xorb < b.xorb ? -1 : Number(a.xorb > b.xorb)) || a.run.chunks.start - b.run.chunks.start,
  );
  const rows: RowOfRuns[] = [];
  let bytes = 0;
  for (const { xorb, run } of ordered) {
    const row = rows.at(-1);
    const follows = row?.xorb === xorb && row.runs.at(-1)?.chunks.end === run.chunks.start;
    bytes = follows ? bytes + run.bytes.length : run.bytes.length;
    if (row && follows && bytes <= mostBytes) row.runs.push(run);
    else {
      rows.push({ xorb, runs: [run] });
      bytes = run.bytes.length;
    }
  }
  return rows;
}
