import { describe, expect, test } from 'vitest';
import { Lanes } from '../../src/core/lanes.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import { readRange } from '../../src/download/read-range.ts';
import type { TransportParts } from '../../src/download/transport.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import type { LocalHub } from '../../src/local-hub/start.ts';
import { engineFor, hubWith, MemoryTarget, repo, requests } from '../support/engines.ts';
import { sha256 } from '../support/hub.ts';
import { randomBytes } from '../support/samples.ts';

/** What a server makes of the ranges that it is asked for, given those that the address was signed for: a status to refuse with. */
type ServerRule = (asked: string[], signed: string[]) => number | undefined;

const bounds = (range: string) => range.split('-').map(Number) as [number, number];
const isPart = (range: string, signed: string[]) =>
  signed.some((outer) => bounds(outer)[0] <= bounds(range)[0] && bounds(range)[1] <= bounds(outer)[1]);

const subset: ServerRule = (asked, signed) => (asked.every((range) => isPart(range, signed)) ? undefined : 403);
const onlyOne =
  (status: number): ServerRule =>
  (asked, signed) =>
    asked.length > 1 ? status : subset(asked, signed);
const wholeSingle: ServerRule = (asked, signed) =>
  asked.length === 1 && signed.includes(asked[0] ?? '') ? undefined : 403;
const exactHeader: ServerRule = (asked, signed) => (asked.join() === signed.join() ? undefined : 403);

interface Served {
  refused: number;
  answered: number;
  bytes: number;
}

/** The Hub behind a server that goes by a rule, and what it was asked for. */
function ruled(rule: ServerRule, served: Served): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    const signed = url.searchParams.get('X-Xet-Signed-Range');
    if (signed === null) return fetch(input, init);
    const list = (text: string) => text.replace('bytes=', '').split(',');
    const status = rule(list(new Headers(init?.headers).get('range') ?? ''), list(signed));
    if (status !== undefined) {
      served.refused++;
      return new Response('Invalid Range Specified', { status });
    }
    const reply = await fetch(input, init);
    served.answered++;
    const counted = reply.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: (bytes, controller) => {
          served.bytes += bytes.length;
          controller.enqueue(bytes);
        },
      }),
    );
    return new Response(counted ?? null, { status: reply.status, headers: reply.headers });
  };
}

const base = randomBytes(12_000_000, 1);
/** Parts of another file, so that its xorb is needed in several ranges, with new bytes between them. */
function partsOf(length: number, gap: number, count: number, seed: number): Uint8Array {
  const runs = Array.from({ length: count }, (_, index) => {
    const at = index * (length + gap);
    return [base.subarray(at, at + length), randomBytes(90_000, seed + index)];
  });
  return Buffer.concat(runs.flat());
}
const large = partsOf(2_600_000, 1_400_000, 3, 50);
const small = partsOf(260_000, 1_000_000, 6, 60);

interface Run {
  served: Served;
  hub: LocalHub;
  download: (bytes: Uint8Array) => Promise<void>;
}

async function runWith(rule: ServerRule, parts: Partial<TransportParts>): Promise<Run> {
  const hub = await hubWith({ base });
  await hub.commitFiles(repo, { large, small }, { xet: 'always' });
  const served = { refused: 0, answered: 0, bytes: 0 };
  const http = new Http({
    fetch: ruled(rule, served) as never,
    timeouts: DEFAULT_TIMEOUTS,
    retry: { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 },
  });
  const { engine, hubClient } = engineFor(hub, { http, lanes: new Lanes(1), ...parts });
  const signal = new AbortController().signal;
  return {
    served,
    hub,
    download: async (bytes) => {
      const file = await hubClient.resolve(repo, 'main', bytes === large ? 'large' : 'small');
      const streamed: Uint8Array[] = [];
      const range = { start: 0, end: file.size };
      for await (const content of readRange(engine, file, range, { signal })) streamed.push(content.bytes);
      expect(sha256(Buffer.concat(streamed))).toBe(sha256(bytes));
      const target = new MemoryTarget(bytes);
      expect(await fillFile(engine, file, target, { signal })).toBe('xet');
      expect(target.mistakes).toEqual([]);
    },
  };
}

/** As pages ask for ranges, and without several at once. */
const inSteps: Partial<TransportParts> = { requestBytes: 1024 * 1024, together: undefined };

/** Bytes of xorbs that one download takes where nothing is refused. */
async function leastBytes(bytes: Uint8Array): Promise<number> {
  const { served, download } = await runWith(() => undefined, {});
  await download(bytes);
  return served.bytes / 2;
}

describe.each<[string, Partial<TransportParts>]>([
  ['ranges at once', {}],
  ['steps of a range, as in pages', inSteps],
])('with requests for %s', (_how, parts) => {
  test('a server that takes parts of what was signed refuses nothing', async () => {
    const { served, download } = await runWith(subset, parts);
    await download(large);
    expect(served.refused).toBe(0);
  });

  test('a server that takes single ranges, and each as a whole only, costs two refusals at most', async () => {
    const { served, hub, download } = await runWith(wholeSingle, parts);
    await download(large);
    const first = served.refused;
    expect(first).toBeLessThanOrEqual(2);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(3);
    expect(served.bytes).toBeLessThanOrEqual(2 * (await leastBytes(large)));
    await download(large);
    expect(served.refused).toBe(first);
  });

  test('a server that takes all ranges of an address or none is asked for them once', async () => {
    const { served, download } = await runWith(exactHeader, parts);
    await download(large);
    expect(served.refused).toBeLessThanOrEqual(3);
    await download(large);
    expect(served.refused).toBeLessThanOrEqual(3);
    // Where several ranges at once cost a preflight each range still asks for all of them.
    if (parts !== inSteps) expect(served.bytes).toBeLessThanOrEqual(4.5 * (await leastBytes(large)));
  });
});

test('a broken connection goes on with the whole range where parts are refused', async () => {
  const { served, hub, download } = await runWith(wholeSingle, {});
  hub.faults.add({ kind: 'xorb', action: 'truncate', afterBytes: 900_000, times: 1 });
  await download(large);
  expect(served.refused).toBeLessThanOrEqual(2);
});

describe.each([400, 403, 404, 416])('a server that refuses several ranges at once with %i', (status) => {
  test('is asked for one after the other, and not for several again', async () => {
    const { served, hub, download } = await runWith(onlyOne(status), {});
    await download(small);
    const first = served.refused;
    // Once, and once with renewed addresses where they may have been too old.
    expect(first).toBeLessThanOrEqual(status === 403 ? 2 : 1);
    await download(small);
    expect(served.refused).toBe(first);
    expect(requests(hub, 'reconstruction').length).toBeLessThanOrEqual(5);
  });
});

test('six small ranges of one address are one request where that is allowed', async () => {
  const { served, download } = await runWith(subset, {});
  await download(small);
  expect(served.refused).toBe(0);
  // The ranges of the other file together, and its own new bytes, for a stream and for a file.
  expect(served.answered).toBeLessThanOrEqual(2 * 3);
});
