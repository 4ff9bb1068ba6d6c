import { expect, test } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { isXetError } from '../../src/core/errors.ts';
import { hashToHex } from '../../src/core/hash.ts';
import { fillFile } from '../../src/download/fill-file.ts';
import { readRange } from '../../src/download/read-range.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import { chunkInPieces } from '../codec/local.ts';
import { engineFor, hubWith, MemoryTarget, repo } from '../support/engines.ts';
import { randomBytes, text } from '../support/samples.ts';
import { Draw } from './draw.ts';

/** Runs one seed only: `FAULTS_SEED=1234 npm run test:faults -- lying`. */
const ONLY = process.env.FAULTS_SEED === undefined ? undefined : Number(process.env.FAULTS_SEED);
const seeds = (count: number) => (ONLY === undefined ? Array.from({ length: count }, (_, seed) => seed) : [ONLY]);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Numbers that are off by a little, and things that are no numbers. */
function otherNumber(draw: Draw, value: number): Json {
  return draw.pick<Json>([value + 1, value - 1, 0, -1, value * 2, 2 ** 31, 2 ** 53, 1.5, '1', null, [], {}]);
}

/** The same JSON with one thing that is not true. */
function lie(draw: Draw, json: Json): Json {
  if (typeof json === 'number') return otherNumber(draw, json);
  if (typeof json === 'string') {
    const digit = draw.whole(0, Math.max(0, json.length - 1));
    return draw.pick<Json>([`${json.slice(0, digit)}0${json.slice(digit + 1)}`, '', json.toUpperCase(), 7, null]);
  }
  if (Array.isArray(json) && json.length > 0) {
    const at = draw.whole(0, json.length - 1);
    const item = json[at] as Json;
    const before = json.slice(0, at);
    const behind = json.slice(at + 1);
    return draw.pick<() => Json>([
      () => [...before, lie(draw, item), ...behind],
      () => [...before, lie(draw, item), ...behind],
      () => [...before, ...behind],
      () => [...before, item, item, ...behind],
      () => [...json].reverse(),
      () => [],
    ])();
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    const keys = Object.keys(json);
    const key = keys.length > 0 ? draw.pick(keys) : 'nothing';
    const { [key]: value = null, ...rest } = json;
    return draw.percent(90) ? { ...json, [key]: lie(draw, value) } : rest;
  }
  return draw.pick<Json>([{}, [], 'null', 0]);
}

/** The same body with a few bytes changed, cut off, repeated or out of place. */
function damaged(draw: Draw, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const at = () => draw.whole(0, Math.max(0, copy.length - 1));
  switch (draw.whole(0, 3)) {
    case 0:
      for (let count = draw.whole(1, 4); count > 0; count--) copy[at()] = draw.whole(0, 255);
      return copy;
    case 1:
      return copy.subarray(0, at());
    case 2:
      return Buffer.concat([copy.subarray(0, at()), copy.subarray(at())]);
    default: {
      // Headers of frames and parts lie at the front.
      const head = draw.whole(0, Math.min(64, copy.length - 1));
      copy[head] = (copy[head] ?? 0) ^ (1 << draw.whole(0, 7));
      return copy;
    }
  }
}

const base = randomBytes(1_500_000, 31);
const files = {
  mixed: Buffer.concat([
    base.subarray(0, 400_000),
    text(300_000, 32),
    base.subarray(900_000),
    base.subarray(0, 200_000),
  ]),
};

test('a CAS and a storage that lie give the right bytes or a typed error, and never anything else', async () => {
  const hub = await hubWith({ base }, {}, 8);
  await hub.commitFiles(repo, files, { xet: 'always', chunksPerXorb: 8 });
  const { mixed } = files;
  let told = 0;
  let right = 0;
  for (const seed of seeds(250)) {
    const draw = new Draw(seed);
    let lies = draw.whole(1, 3);
    const http = new Http({
      fetch: (async (input: string, init?: RequestInit) => {
        const reply = await fetch(input, init);
        const { pathname } = new URL(input);
        const target = /reconstructions|\/xorbs\//.test(pathname);
        if (!target || lies === 0 || !draw.percent(40)) return reply;
        lies--;
        const { status } = reply;
        const headers = new Headers(reply.headers);
        headers.delete('content-length');
        if (pathname.includes('reconstructions')) {
          return new Response(JSON.stringify(lie(draw, (await reply.json()) as Json)), { status, headers });
        }
        const body = damaged(draw, new Uint8Array(await reply.arrayBuffer()));
        if (draw.percent(20)) headers.delete('content-range');
        return new Response(body as BodyInit, { status, headers });
      }) as never,
      timeouts: DEFAULT_TIMEOUTS,
      retry: { attempts: 2, baseDelayMs: 0, maxDelayMs: 0 },
    });
    const { engine, hubClient, budget } = engineFor(hub, { http, attempts: 2 });
    const file = await hubClient.resolve(repo, 'main', 'mixed');
    const signal = new AbortController().signal;
    try {
      if (draw.percent(50)) {
        const target = new MemoryTarget(mixed);
        await fillFile(engine, file, target, { signal });
        expect(Buffer.compare(target.bytes, mixed), `seed ${seed}`).toBe(0);
      } else {
        const runs: Uint8Array[] = [];
        const range = { start: 0, end: file.size };
        for await (const { bytes } of readRange(engine, file, range, { signal })) runs.push(bytes);
        expect(Buffer.compare(Buffer.concat(runs), mixed), `seed ${seed}`).toBe(0);
      }
      right++;
    } catch (error) {
      if (!isXetError(error)) throw new Error(`Seed ${seed} gave an error without a type`, { cause: error });
      told++;
    }
    await expect.poll(() => budget.usedBytes, { message: `seed ${seed}` }).toBe(0);
  }
  // Most lies are found out, and some do no harm.
  if (ONLY === undefined) {
    expect(told).toBeGreaterThan(20);
    expect(right).toBeGreaterThan(20);
  }
});

test('damaged frames and shards are PROTOCOL or decode, and leave the codec whole', async () => {
  const codec = await loadCodec();
  const data = Buffer.concat([text(90_000, 41), randomBytes(60_000, 42), new Uint8Array(70_000)]);
  const { body } = codec.serializeXorb(data, chunkInPieces(codec, data, []));
  const expected = codec.decodeRun(body.slice()).data;
  const writer = codec.shardWriter();
  const chunks = chunkInPieces(codec, data, []);
  const hash = hashToHex(codec.xorbHash(chunks));
  writer.addXorb({ hash, chunks, bytesOnDisk: body.length });
  const shard = writer.toUpload();
  for (const seed of seeds(4000)) {
    const draw = new Draw(seed);
    for (const run of [
      () => void codec.decodeRun(damaged(draw, body)),
      () => void codec.decodeRunInPlace(damaged(draw, body)),
      () => void codec.readShard(damaged(draw, shard)),
    ]) {
      try {
        run();
      } catch (error) {
        if (!isXetError(error, 'PROTOCOL')) throw new Error(`Seed ${seed}`, { cause: error });
      }
    }
  }
  expect(Buffer.compare(codec.decodeRun(body.slice()).data, expected)).toBe(0);
});
