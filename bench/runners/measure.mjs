// @ts-check
// What every run in Node measures of itself. The clock starts when the library is loaded: starting up is measured
// apart, as the whole life of a command.
import { readFileSync } from 'node:fs';
import { argv, resourceUsage } from 'node:process';

/**
 * The most memory that this process had, in bytes. Not what `resourceUsage` says where there is something better: that
 * begins with what the parent had when it started us.
 */
function peakBytes() {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {}
  return resourceUsage().maxRSS * 1024;
}

function cpuSeconds() {
  const { userCPUTime, systemCPUTime } = resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6;
}

/** @typedef {Record<string, any>} Job */
/** A thing to measure: gets ready, then gives what shall be timed. @typedef {(job: Job) => Promise<() => Promise<Record<string, unknown> | void>>} Work */

/** Does the job that the command line names, and prints what it took. @param {Record<string, Work>} works */
export async function runJob(works) {
  const job = /** @type {Job} */ (JSON.parse(argv[2] ?? '{}'));
  const work = works[job.work];
  if (!work) {
    console.log(JSON.stringify({ unsupported: job.work }));
    return;
  }
  const timed = await work(job);
  const cpu = cpuSeconds();
  const started = performance.now();
  const more = await timed();
  const seconds = (performance.now() - started) / 1000;
  const measured = { seconds, cpuSeconds: cpuSeconds() - cpu, peakBytes: peakBytes(), ...more };
  // Whatever a library leaves running is not waited for.
  process.stdout.write(`${JSON.stringify(measured)}\n`, () => process.exit());
}

/**
 * How long each of some reads takes, in seconds.
 * @param {readonly [number, number][]} ranges
 * @param {(start: number, end: number) => Promise<number>} read gives the length of what it read
 */
export async function timedReads(ranges, read) {
  const latencies = [];
  for (const [start, end] of ranges) {
    const started = performance.now();
    const length = await read(start, end);
    if (length !== end - start) throw new Error(`${length} bytes of ${end - start}`);
    latencies.push((performance.now() - started) / 1000);
  }
  return { latencies };
}

/**
 * A `fetch` that answers from memory what it has answered before: what remains is the client's own work.
 * @param {typeof fetch} beneath
 */
export function rememberingFetch(beneath = fetch) {
  /** @type {Map<string, { status: number, headers: [string, string][], body: Uint8Array<ArrayBuffer> }>} */
  const known = new Map();
  return async (/** @type {any} */ input, /** @type {RequestInit} */ init = {}) => {
    const request = new Request(input, { ...init, signal: undefined });
    const key = `${request.method} ${request.url} ${request.headers.get('range') ?? ''}`;
    let answer = known.get(key);
    if (!answer) {
      const response = await beneath(input, init);
      const headers = /** @type {[string, string][]} */ ([...response.headers]);
      answer = { status: response.status, headers, body: new Uint8Array(await response.arrayBuffer()) };
      known.set(key, answer);
    }
    const { status, headers, body } = answer;
    // In pieces, as a network gives them; a copy of each, as clients may keep what they are given.
    let at = 0;
    const stream = new ReadableStream(
      {
        pull(controller) {
          if (at >= body.length) return controller.close();
          controller.enqueue(body.slice(at, at + 65536));
          at += 65536;
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(request.method === 'HEAD' ? null : stream, { status, headers });
  };
}
