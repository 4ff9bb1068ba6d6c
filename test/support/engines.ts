import { onTestFinished } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { CodecPool } from '../../src/codec/pool.ts';
import { MemoryBudget } from '../../src/core/budget.ts';
import { type ChunkRecords, chunkCount, chunkLength, chunkSlice } from '../../src/core/chunks.ts';
import { Lanes } from '../../src/core/lanes.ts';
import type { ByteRange } from '../../src/core/ranges.ts';
import { DownloadEngine } from '../../src/download/engine.ts';
import { fetchTogether } from '../../src/download/fetch-together.ts';
import type { FillTarget } from '../../src/download/read.ts';
import type { Transfers } from '../../src/download/transfer/transfers.ts';
import type { TransportParts } from '../../src/download/transport.ts';
import { nodeContentHash } from '../../src/files/disk/content-check.node.ts';
import type { HeldPart } from '../../src/files/place.ts';
import { DEFAULT_TIMEOUTS, Http } from '../../src/http/http.ts';
import { HubClient } from '../../src/hub/client.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';

export const repo = { type: 'model', name: 'owner/model' } as const;

export async function hubWith(
  files: Record<string, Uint8Array>,
  options: LocalHubOptions = {},
  chunksPerXorb = 8192,
): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  await hub.commitFiles(repo, files, { xet: 'always', chunksPerXorb });
  return hub;
}

/** An engine without workers whose retries take no time. */
export function engineFor(hub: LocalHub, parts: Partial<TransportParts> = {}, transfers?: Transfers) {
  const http = new Http({ fetch, timeouts: DEFAULT_TIMEOUTS, retry: { attempts: 4, baseDelayMs: 1, maxDelayMs: 2 } });
  const hubClient = new HubClient(http, { endpoint: hub.url, accessToken: async () => undefined });
  const budget = parts.budget ?? new MemoryBudget(64 << 20, 16 << 20);
  const lanes = parts.lanes ?? new Lanes(4);
  const pool = parts.pool ?? new CodecPool({ size: 0, load: loadCodec });
  const engine = new DownloadEngine(
    {
      http,
      hub: hubClient,
      makeHash: nodeContentHash,
      attempts: 4,
      together: fetchTogether,
      xet: true,
      fallback: false,
      onWarning: () => undefined,
      ...parts,
      pool,
      budget,
      lanes,
    },
    transfers,
  );
  return { engine, hubClient, http, budget, lanes, pool };
}

export const requests = (hub: LocalHub, kind: string) => hub.requests.filter((request) => request.kind === kind);

/** Bytes of bodies that requests of a kind gave. */
export const sent = (hub: LocalHub, kind: string) => requests(hub, kind).reduce((sum, one) => sum + one.bytesSent, 0);

/** The chunks that a client would cut of some content, and where each of them begins. */
export async function chunksOf(bytes: Uint8Array): Promise<{ records: ChunkRecords; starts: number[] }> {
  const chunker = (await loadCodec()).chunker();
  const records = chunker.push(bytes, true);
  chunker.free();
  const starts = [0];
  for (let index = 0; index < chunkCount(records); index++) {
    starts.push((starts[index] ?? 0) + chunkLength(records, index));
  }
  return { records, starts };
}

/** Parts of a file as an earlier try may have left them. Chunk indices, ends excluded. */
export async function heldParts(bytes: Uint8Array, runs: readonly [first: number, end: number][]): Promise<HeldPart[]> {
  const { records, starts } = await chunksOf(bytes);
  return runs.map(([first, beyond]) => {
    const end = Math.min(beyond, chunkCount(records));
    return { start: starts[first] ?? 0, end: starts[end] ?? 0, chunks: chunkSlice(records, first, end) };
  });
}

/** A place in memory for a file, which knows what belongs where and how often each byte was written. */
export class MemoryTarget implements FillTarget {
  readonly held: readonly HeldPart[];
  readonly unchecked: readonly ByteRange[];
  readonly bytes: Uint8Array;
  /** Writes of each byte; what is held counts as one. */
  readonly times: Uint8Array;
  readonly #truth: Uint8Array;
  /** What was wrong, if anything: it may be thrown where nobody looks. */
  readonly mistakes: string[] = [];
  writing = 0;
  mostAtOnce = 0;
  writes = 0;
  written = 0;
  /** Runs before each write is done, and may throw. */
  onWrite: ((at: number, bytes: Uint8Array) => Promise<void> | void) | undefined;

  constructor(truth: Uint8Array, held: readonly HeldPart[] = [], unchecked: readonly ByteRange[] = []) {
    this.#truth = truth;
    this.held = held;
    this.unchecked = unchecked;
    this.bytes = new Uint8Array(truth.length);
    this.times = new Uint8Array(truth.length);
    for (const { start, end } of [...held, ...unchecked]) this.bytes.set(truth.subarray(start, end), start);
    for (const { start, end } of held) this.times.fill(1, start, end);
  }

  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; at += 300_000) yield this.bytes.slice(at, Math.min(end, at + 300_000));
  }

  async write(at: number, bytes: Uint8Array, chunks: ChunkRecords): Promise<void> {
    this.writing++;
    this.writes++;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.writing);
    try {
      await this.onWrite?.(at, bytes);
    } finally {
      this.writing--;
    }
    if (bytes.length === 0) this.mistakes.push(`nothing was written at ${at}`);
    if (at + bytes.length > this.#truth.length) this.mistakes.push(`a write reaches to ${at + bytes.length}`);
    else if (!Buffer.from(bytes).equals(this.#truth.subarray(at, at + bytes.length)))
      this.mistakes.push(`wrong bytes at ${at}`);
    for (let index = 0; index < bytes.length; index++) {
      this.times[at + index] = (this.times[at + index] ?? 0) + 1;
    }
    let described = 0;
    for (let index = 0; index < chunkCount(chunks); index++) described += chunkLength(chunks, index);
    if (described !== 0 && described !== bytes.length)
      this.mistakes.push(`${bytes.length} bytes at ${at} are said to be chunks of ${described}`);
    this.bytes.set(bytes, at);
    this.written += bytes.length;
  }

  /** Bytes that were not written exactly once, as the first and last of them. */
  get notOnce(): ByteRange[] {
    const found: ByteRange[] = [];
    // Looking at each of millions takes longer than most tests.
    if (Buffer.alloc(this.times.length, 1).equals(this.times)) return found;
    for (const [at, times] of this.times.entries()) {
      const last = found.at(-1);
      if (times === 1) continue;
      if (last?.end === at) last.end++;
      else found.push({ start: at, end: at + 1 });
    }
    return found;
  }
}

/** A seeded choice of numbers below a limit. */
export function draw(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % Math.max(1, below);
  };
}
