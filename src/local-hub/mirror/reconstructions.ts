import {
  type FetchRange,
  findRange,
  type Reconstruction,
  readReconstruction,
  readReconstructions,
} from '../../cas/reconstruction.ts';
import { isXetError } from '../../core/errors.ts';
import { ZERO_HASH } from '../../core/hash.ts';
import type { Steps } from '../../core/steps.ts';
import { HubError } from '../hub-error.ts';
import { RecentMap } from '../store/recent-map.ts';
import { type Answers, answerKey } from './answers.ts';
import type { MirrorMetrics } from './metrics.ts';
import { type CasGrant, refusalOf } from './tokens.ts';
import { type Upstream, type UpstreamAnswer, UpstreamUnavailable } from './upstream.ts';
import type { XorbSource } from './xorb-receiver.ts';

/** A whole file as the upstream's CAS describes it to one asker. */
export interface MirroredFile {
  hash: string;
  size: number;
  grant: CasGrant;
  found: Reconstruction;
  at: number;
}

/** Terms of reconstructions in memory. */
const MEMORY_TERMS = 500_000;
/** Files of one question to the upstream. */
const BATCH_FILES = 100;
const EMPTY: Reconstruction = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };

/** Reconstructions of whole files. Whether an asker may have one, the upstream's CAS decides. */
export class Reconstructions {
  readonly #upstream: Upstream;
  readonly #answers: Answers;
  readonly #metrics: MirrorMetrics;
  readonly #accessMs: number;
  readonly #known = new RecentMap<string, MirroredFile>(MEMORY_TERMS, ({ found }) => 20 + found.terms.length);
  readonly #asking = new Map<string, Promise<MirroredFile>>();

  constructor(parts: { upstream: Upstream; answers: Answers; metrics: MirrorMetrics; accessMs: number }) {
    this.#upstream = parts.upstream;
    this.#answers = parts.answers;
    this.#metrics = parts.metrics;
    this.#accessMs = parts.accessMs;
  }

  /** The file, if the upstream lets this asker have it. */
  async file(grant: CasGrant, hash: string): Promise<MirroredFile> {
    const known = this.#known.get(keyOf(grant.asker, grant.scope, hash));
    if (known && this.#isFresh(known)) {
      this.#metrics.add('answers_held', 1);
      return known;
    }
    return this.#renew(grant, hash);
  }

  /** Those of several files that this asker may have. */
  async files(grant: CasGrant, hashes: readonly string[]): Promise<MirroredFile[]> {
    const missing = hashes.filter((hash) => {
      const known = this.#known.get(keyOf(grant.asker, grant.scope, hash));
      return hash !== ZERO_HASH && !(known && this.#isFresh(known));
    });
    for (let first = 0; missing.length > 1 && first < missing.length; first += BATCH_FILES) {
      await this.#askMany(grant, missing.slice(first, first + BATCH_FILES));
    }
    const all = await Promise.all(
      hashes.map((hash) =>
        this.file(grant, hash).catch((error: unknown) => {
          if (error instanceof HubError && (error.status === 404 || error.status === 416)) return undefined;
          throw error;
        }),
      ),
    );
    return all.filter((file) => file !== undefined);
  }

  /** The file as it was shown to an asker whose signed URL names it. */
  shown(asker: string, scope: string, hash: string): MirroredFile | undefined {
    return this.#known.get(keyOf(asker, scope, hash));
  }

  /** Source of a xorb of a file. A refused URL is renewed once for all who wait. */
  source(file: MirroredFile, xorb: string): XorbSource {
    const { grant, hash } = file;
    return {
      xorb,
      url: async (range: FetchRange, refused?: string) => {
        const known = this.#known.get(keyOf(grant.asker, grant.scope, hash)) ?? file;
        const url = urlOf(known, xorb, range);
        if (url !== undefined && url !== refused) return url;
        const renewed = urlOf(await this.#renew(grant, hash), xorb, range);
        if (renewed !== undefined) return renewed;
        throw new UpstreamUnavailable(502, 'The upstream of this mirror no longer has this range of the file.');
      },
    };
  }

  #isFresh({ at }: MirroredFile): boolean {
    return Date.now() - at < this.#accessMs;
  }

  #renew(grant: CasGrant, hash: string): Promise<MirroredFile> {
    const key = keyOf(grant.asker, grant.scope, hash);
    const asking = this.#asking.get(key) ?? this.#ask(key, grant, hash).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #ask(key: string, grant: CasGrant, hash: string): Promise<MirroredFile> {
    if (hash === ZERO_HASH) return { hash, size: 0, grant, found: EMPTY, at: Date.now() };
    this.#metrics.add('answers_asked', 1);
    try {
      let answer = await this.#askCas(grant, `/v2/reconstructions/${hash}`);
      if (answer.status === 404 || answer.status === 501) {
        answer = await this.#askCas(grant, `/v1/reconstructions/${hash}`);
      }
      if (answer.status !== 200) {
        if (answer.status === 401) throw new HubError(401, 'Token expired');
        this.#known.delete(key);
        await this.#answers.remove(answerKey('granted', key));
        throw refusalOf(answer);
      }
      const found = await parsed(answer, readReconstruction);
      if (found.offsetIntoFirstTerm !== 0) throw notACas();
      return await this.#keep(key, grant, hash, found);
    } catch (error) {
      if (!(error instanceof UpstreamUnavailable)) throw error;
      const held = await this.#held(key, grant, hash);
      if (!held) throw error;
      this.#metrics.add('answers_stale', 1);
      return held;
    }
  }

  async #askMany(grant: CasGrant, hashes: readonly string[]): Promise<void> {
    const query = new URLSearchParams(hashes.map((hash) => ['file_id', hash]));
    const answer = await this.#askCas(grant, `/v1/reconstructions?${query}`).catch((error: unknown) => {
      if (error instanceof UpstreamUnavailable) return undefined;
      throw error;
    });
    // One at a time will do, and tells why each is refused.
    if (answer?.status !== 200) return;
    this.#metrics.add('answers_asked', 1);
    for (const [hash, found] of await parsed(answer, readReconstructions)) {
      if (hashes.includes(hash)) await this.#keep(keyOf(grant.asker, grant.scope, hash), grant, hash, found);
    }
  }

  #askCas(grant: CasGrant, target: string): Promise<UpstreamAnswer> {
    if (grant.accessToken === undefined) {
      throw new UpstreamUnavailable(502, 'The upstream of this mirror cannot be reached. Try again later.');
    }
    return this.#upstream.askAt(grant.casUrl + target, { authorization: `Bearer ${grant.accessToken}` });
  }

  async #keep(key: string, grant: CasGrant, hash: string, found: Reconstruction): Promise<MirroredFile> {
    const file = { hash, size: sizeOf(found), grant, found, at: Date.now() };
    this.#known.set(key, file);
    const { at } = file;
    const answer = (body: string) => ({ status: 200, headers: {}, body, at });
    const terms = answerKey('terms', hash);
    if (!(await this.#answers.get(terms))) await this.#answers.put(terms, answer(write(found)));
    await this.#answers.put(answerKey('granted', key), answer(''));
    return file;
  }

  /** The file from an earlier answer to the same asker, without URLs: good for what is stored. */
  async #held(key: string, grant: CasGrant, hash: string): Promise<MirroredFile | undefined> {
    const known = this.#known.get(key);
    if (known) return known;
    const granted = await this.#answers.get(answerKey('granted', key));
    const terms = granted && (await this.#answers.get(answerKey('terms', hash)));
    if (!terms) return undefined;
    const found = await parsed({ status: 200, headers: {}, body: Buffer.from(terms.body) }, readReconstruction);
    // Old enough to be asked for again as soon as the upstream answers.
    const file = { hash, size: sizeOf(found), grant, found, at: 0 };
    this.#known.set(key, file);
    return file;
  }
}

function keyOf(asker: string, scope: string, hash: string): string {
  return `${asker} ${scope} ${hash}`;
}

function sizeOf({ terms }: Reconstruction): number {
  return terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0);
}

/** Address for a range that may be wider than those of a reconstruction that has been renewed since. */
function urlOf({ found }: MirroredFile, xorb: string, { chunks }: FetchRange): string | undefined {
  const url = findRange(found, { xorb, chunks })?.signed.url;
  return url === NO_URL ? undefined : url;
}

const NO_URL = 'http://upstream.invalid/';

/** A reconstruction without its URLs, which are secrets and expire. */
function write({ terms, xorbs }: Reconstruction): string {
  const inclusive = ({ start, end }: { start: number; end: number }) => ({ start, end: end - 1 });
  return JSON.stringify({
    offset_into_first_range: 0,
    terms: terms.map(({ xorb, chunks, unpackedLength }) => ({
      hash: xorb,
      unpacked_length: unpackedLength,
      range: chunks,
    })),
    xorbs: Object.fromEntries(
      [...xorbs].map(([xorb, signed]) => [
        xorb,
        signed.map(({ ranges }) => ({
          url: NO_URL,
          ranges: ranges.map(({ chunks, bytes }) => ({ chunks, bytes: inclusive(bytes) })),
        })),
      ]),
    ),
  });
}

async function parsed<T>({ body }: UpstreamAnswer, read: (value: unknown) => Steps<T>): Promise<T> {
  try {
    const steps = read(JSON.parse(body.toString()));
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      await new Promise((resolve) => setImmediate(resolve));
    }
  } catch (error) {
    if (error instanceof SyntaxError || isXetError(error, 'PROTOCOL')) throw notACas();
    throw error;
  }
}

function notACas(): HubError {
  return new HubError(502, 'The CAS of the upstream did not answer with a reconstruction.');
}
