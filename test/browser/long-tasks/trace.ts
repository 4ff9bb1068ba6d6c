import type { DevTools } from './devtools.ts';

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Microseconds, as all times here. */
  ts: number;
  dur?: number;
  /** Processor time of the thread. */
  tdur?: number;
  id?: string;
  args: {
    name?: string;
    data?: { url?: string };
    dumps?: { allocators?: Record<string, { attrs?: { effective_size?: { value: string } } }> };
  };
}

/** Trace of a browser during the work of a page. */
export interface Traced {
  /** The longest task of the page's main thread in which script ran, in milliseconds. */
  longestOfOursMs: number;
  /** The longest one in which none ran. */
  longestOfBrowserMs: number;
  tasks: number;
  /** Peak memory of the page's process, including workers, above its initial memory, in bytes. */
  heapGrowthBytes: number;
}

const CATEGORIES = [
  'toplevel',
  'v8',
  'devtools.timeline',
  'disabled-by-default-devtools.timeline',
  'disabled-by-default-memory-infra',
];
/** The heaps of a process; buffers of scripts are in one of `partition_alloc`. */
const HEAPS = ['v8', 'blink_gc', 'partition_alloc', 'malloc'];
/** Events during which script runs: calls by the browser, and continuations of promises. */
const SCRIPT = ['EvaluateScript', 'v8.callFunction', 'FunctionCall', 'BlinkScheduler_PerformMicrotaskCheckpoint'];
/** Script for less than this, in microseconds, is not what makes a task a long one. */
const NEXT_TO_NOTHING_US = 1000;
const BETWEEN_DUMPS_MS = 1000;

/** Has the browser note what happens while some work is done in a page whose scripts are of an origin. */
export async function traced<T>(
  devTools: DevTools,
  origin: string,
  work: () => Promise<T>,
): Promise<{ value: T; trace: Traced }> {
  await devTools.send('Tracing.start', {
    transferMode: 'ReturnAsStream',
    traceConfig: { recordMode: 'recordAsMuchAsPossible', includedCategories: CATEGORIES, excludedCategories: ['*'] },
  });
  // Each dump is made after a collection: what is not, tells of the mood of the garbage collectors.
  const dump = () => devTools.send('Tracing.requestMemoryDump', { deterministic: true, levelOfDetail: 'light' });
  await dump();
  let busy = true;
  const dumping = (async () => {
    while (busy) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_DUMPS_MS));
      await dump();
    }
  })();
  const value = await work().finally(() => {
    busy = false;
  });
  await dumping;
  const complete = devTools.event<{ stream: string }>('Tracing.tracingComplete');
  await devTools.send('Tracing.end');
  const { stream } = await complete;
  return { value, trace: read(JSON.parse(await textOf(devTools, stream)).traceEvents, origin) };
}

async function textOf(devTools: DevTools, handle: string): Promise<string> {
  const parts: string[] = [];
  for (;;) {
    const { data, eof } = await devTools.send<{ data: string; eof: boolean }>('IO.read', { handle, size: 2 ** 23 });
    parts.push(data);
    if (eof) break;
  }
  await devTools.send('IO.close', { handle });
  return parts.join('');
}

function read(events: TraceEvent[], origin: string): Traced {
  const page = events.find(({ name, args }) => name === 'FunctionCall' && args.data?.url?.startsWith(origin))?.pid;
  const main = events.find(
    ({ name, pid, args }) => name === 'thread_name' && pid === page && args.name === 'CrRendererMain',
  );
  if (!main) throw new Error('The page is not in the trace');
  const onMain = events
    .filter(({ ph, pid, tid }) => ph === 'X' && pid === main.pid && tid === main.tid)
    .sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  const tasks: { event: TraceEvent; script: number }[] = [];
  let scriptEnd = 0;
  for (const event of onMain) {
    const task = tasks.at(-1);
    const inTask = task && event.ts < task.event.ts + (task.event.dur ?? 0);
    if (event.name === 'RunTask' && !inTask) tasks.push({ event, script: 0 });
    if (!inTask || !SCRIPT.includes(event.name) || event.ts < scriptEnd) continue;
    task.script += timeOf(event);
    scriptEnd = event.ts + (event.dur ?? 0);
  }
  const longest = (some: typeof tasks) => Math.max(0, ...some.map(({ event }) => timeOf(event))) / 1000;
  return {
    longestOfOursMs: longest(tasks.filter(({ script }) => script >= NEXT_TO_NOTHING_US)),
    longestOfBrowserMs: longest(tasks.filter(({ script }) => script < NEXT_TO_NOTHING_US)),
    tasks: tasks.length,
    heapGrowthBytes: growthOf(events.filter(({ ph, pid }) => ph === 'v' && pid === main.pid)),
  };
}

/**
 * The one place where tests measure time, and it is no speed: what a single task does with the thread. Others want the
 * processors as well, so it is processor time, of which some machines tell more than has gone by.
 */
function timeOf({ dur = 0, tdur = dur }: TraceEvent): number {
  return Math.min(dur, tdur);
}

function growthOf(events: TraceEvent[]): number {
  const dumps = new Map<string, { ts: number; bytes: number }>();
  for (const { id = '', ts, args } of events) {
    const dump = dumps.get(id) ?? { ts, bytes: 0 };
    for (const heap of HEAPS) {
      dump.bytes += Number.parseInt(args.dumps?.allocators?.[heap]?.attrs?.effective_size?.value ?? '0', 16);
    }
    dumps.set(id, dump);
  }
  const [first, ...rest] = [...dumps.values()].sort((a, b) => a.ts - b.ts).map(({ bytes }) => bytes);
  if (!first || rest.length === 0) throw new Error('The trace has no dumps of the memory');
  return Math.max(...rest) - first;
}
