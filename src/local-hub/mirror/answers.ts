import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord } from '../../core/json-values.ts';
import { readIfExists, type StagingArea, shardedPath } from '../store/atomic-file.ts';
import { RecentMap } from '../store/recent-map.ts';
import type { UpstreamHeaders } from './upstream.ts';

/** An answer of the upstream that is kept. */
export interface HeldAnswer {
  status: number;
  headers: UpstreamHeaders;
  body: string;
  /** Time when the upstream last said so, in milliseconds. */
  at: number;
}

/** Bytes of answers in memory. */
const MEMORY_BYTES = 32 * 1024 * 1024;

/** Answers of the upstream by question and asker, in memory and on disk. A damaged file counts as missing. */
export class Answers {
  readonly #root: string;
  readonly #staging: StagingArea;
  readonly #log: (line: string) => void;
  readonly #recent = new RecentMap<string, HeldAnswer>(MEMORY_BYTES, ({ body }) => body.length * 2 + 1000);

  constructor(dir: string, staging: StagingArea, log: (line: string) => void) {
    this.#root = join(dir, 'answers');
    this.#staging = staging;
    this.#log = log;
  }

  async get(key: string): Promise<HeldAnswer | undefined> {
    const known = this.#recent.get(key);
    if (known) return known;
    const text = await readIfExists(this.#path(key));
    const held = text && parse(text.toString());
    if (held) this.#recent.set(key, held);
    return held;
  }

  /**
   * Keeps an answer: in memory, which is bounded, and on disk unless `isPassing`. A full disk is no reason to fail: the answer is
   * then kept in memory only.
   */
  async put(key: string, answer: HeldAnswer, isPassing = false): Promise<void> {
    this.#recent.set(key, answer);
    if (isPassing) return;
    await this.#staging.write(this.#path(key), JSON.stringify(answer)).catch((error: unknown) => {
      this.#log(`An answer is kept in memory only: ${String(error)}`);
    });
  }

  async remove(key: string): Promise<void> {
    this.#recent.delete(key);
    await rm(this.#path(key), { force: true });
  }

  #path(key: string): string {
    return shardedPath(this.#root, key, '.json');
  }
}

/** Key of an answer: who asked, and for what. */
export function answerKey(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function parse(text: string): HeldAnswer | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    const fits =
      isRecord(value) &&
      typeof value.status === 'number' &&
      typeof value.body === 'string' &&
      typeof value.at === 'number' &&
      isRecord(value.headers);
    return fits ? (value as unknown as HeldAnswer) : undefined;
  } catch {
    return undefined;
  }
}
