import type { LocalCaches } from '../cache/local-caches.ts';
import type { CasClient } from '../cas/client.ts';
import type { PlacedTerm, Reconstruction, Term } from '../cas/reconstruction.ts';
import { MAX_CHUNK_BYTES } from '../core/chunks.ts';
import type { LocalPart } from '../core/content.ts';
import { XetError } from '../core/errors.ts';
import { inTurns } from '../core/event-loop.ts';
import type { MetricsLog } from '../core/metrics.ts';
import { type ByteRange, joinNearest, lengthOf, without, withoutAll } from '../core/ranges.ts';
import { joinPlans, type Plan, type PlanOptions, planDownload, type Section, wasteOf } from './plan.ts';
import type { Sections } from './sections.ts';
import type { SignedReconstruction } from './signed-urls.ts';
import { SignedUrls } from './signed-urls.ts';

export interface WindowPlannerOptions {
  cas: CasClient;
  fileHash: string;
  /** Bytes. */
  fileSize: number;
  range: ByteRange;
  /** File bytes that one reconstruction covers at most: its JSON stays small whatever the file's size. */
  windowBytes: number;
  plan: PlanOptions;
  /** Caches in which chunks may be found. */
  caches: LocalCaches | undefined;
  /** Reconstructions of whole files that were asked for together. */
  ahead?: Ahead | undefined;
  /** Reconstructions that other reads of the file asked for. */
  sections?: Sections | undefined;
  /** Gives the chunks that the range meets as a whole: they are fetched whole anyway. */
  wholeChunks?: boolean | undefined;
  /** Called before a request to the CAS, with the number of file bytes it covers. */
  onAsk?: ((bytes: number) => void) | undefined;
  signal: AbortSignal;
}

/** Holes that are worth a question each; more of them are asked for together, with what lies between. */
const MAX_HOLES_ASKED = 32;
/**
 * Unneeded bytes that may be fetched before another request is cheaper: a share of the whole, or about one round trip's
 * worth.
 */
const WASTE_SHARE = 0.01;
const WASTE_BYTES = 256 * 1024;

/** Gives a reconstruction of a whole file that somebody has asked for already, if there is one. */
export interface Ahead {
  take(fileHash: string, signal: AbortSignal): Promise<Reconstruction | undefined>;
}

/** Plans a range of a file stage by stage: what is here already, and how to fetch the rest. */
export class WindowPlanner {
  readonly #options: WindowPlannerOptions;
  readonly #terms: Term[] = [];
  /** Of what has been planned. */
  readonly #placed: PlacedTerm[] = [];

  constructor(options: WindowPlannerOptions) {
    this.#options = options;
  }

  /** All terms of the range, once all stages have been planned without leaving any out. */
  get terms(): readonly Term[] {
    return this.#terms;
  }

  /** The content that this machine holds of a planned part. */
  async here(part: ByteRange): Promise<LocalPart[]> {
    const { caches, fileHash, signal } = this.#options;
    return (await caches?.findLocalParts(fileHash, this.#placed, [part], signal)) ?? [];
  }

  /** @param had what need not be planned: ascending, apart from each other. */
  async *all(had: readonly ByteRange[]): AsyncGenerator<Stage, void, undefined> {
    const { range } = this.#options;
    this.#terms.length = 0;
    // An empty file has no reconstruction, and an empty range none that could be asked for.
    for (let at = range.start; at < range.end; ) {
      const stage = await this.#stage(at, had);
      yield stage;
      at = stage.range.end;
    }
  }

  async #stage(at: number, had: readonly ByteRange[]): Promise<Stage> {
    const { range, windowBytes, caches, fileHash, fileSize } = this.#options;
    const window = { start: at, end: Math.min(range.end, at + windowBytes) };
    const known = await caches?.termsOf(fileHash, fileSize);
    if (known) {
      // Windows end at chunk borders; between those of two terms one is easily found.
      const end = known.find((term) => term.at >= window.end)?.at ?? range.end;
      const whole = { start: at, end: Math.min(end, range.end) };
      return this.#around(whole, without(whole, had), known, undefined);
    }
    const asked = caches ? window : trimmed(window, had);
    if (!asked) return { range: window, plan: joinPlans([]), urls: [], locals: [] };
    let base = await this.#section(asked);
    for (const term of base.from.terms) this.#terms.push(term);
    const stage = this.#options.wholeChunks ? chunksAround(base, asked, fileSize) : { start: at, end: window.end };
    if (asked.end === window.end && asked.end < range.end) {
      // A window ends at a chunk border, wherever the server put it behind the one asked for.
      stage.end = Math.min(base.span.start + reach(base.from), range.end);
      base = { ...base, span: { start: base.span.start, end: stage.end } };
      if (stage.end <= at)
        throw new XetError('PROTOCOL', `The CAS gives nothing of file ${fileHash} from byte ${at} on.`);
    }
    const wanted = without(stage, had);
    return this.#around(stage, wanted, await this.#anchored(placed(base), wanted), base);
  }

  /** Terms with what this machine has of their middle set apart. */
  async #anchored(terms: PlacedTerm[], wanted: readonly ByteRange[]): Promise<readonly PlacedTerm[]> {
    const { caches, cas, fileHash, signal } = this.#options;
    if (!caches) return terms;
    const ask = (at: number) => cas.reconstruction(fileHash, { start: at, end: at + 1 }, signal);
    return caches.splitTerms(terms, wanted, ask, signal);
  }

  async #around(
    range: ByteRange,
    wanted: readonly ByteRange[],
    terms: readonly PlacedTerm[],
    base: SignedReconstruction | undefined,
  ): Promise<Stage> {
    const { caches, fileHash, signal } = this.#options;
    // Where the recipe is known, each window has all terms.
    for (const term of caches ? terms : []) if (term.at > (this.#placed.at(-1)?.at ?? -1)) this.#placed.push(term);
    const locals = (await caches?.findLocalParts(fileHash, terms, wanted, signal)) ?? [];
    const holes = withoutAll(wanted, locals);
    if (holes.length === 0) return { range, plan: joinPlans([]), urls: [], locals };
    const spans = joinNearest(holes, MAX_HOLES_ASKED);
    if (base) {
      const plan = await this.#plan({ ...base, wanted: holes });
      const [first] = spans;
      const same = spans.length === 1 && first?.start === base.span.start && first.end === base.span.end;
      if (same || isCheap(plan, holes)) return { range, plan, urls: [base.urls], locals };
    }
    const asked = await Promise.all(spans.map((span) => this.#section(span)));
    const plans: Plan[] = [];
    for (const one of asked) {
      const inside = holes.filter(({ start, end }) => one.span.start <= start && end <= one.span.end);
      plans.push(await this.#plan({ ...one, wanted: inside }));
    }
    return { range, plan: joinPlans(plans), urls: asked.map(({ urls }) => urls), locals };
  }

  #plan(section: Section): Promise<Plan> {
    return inTurns(planDownload(section, this.#options.plan), this.#options.signal);
  }

  /** Reconstruction of a span: one that was requested before, if it brings little else, or a new one. */
  async #section(span: ByteRange): Promise<SignedReconstruction> {
    const { cas, fileHash, fileSize, sections, onAsk, signal } = this.#options;
    for (const known of sections?.covering(span) ?? []) {
      if (!isCheap(await this.#plan({ ...known, wanted: [span] }), [span])) continue;
      sections?.touch(known);
      return known;
    }
    const ask = async (joint: AbortSignal): Promise<SignedReconstruction> => {
      onAsk?.(lengthOf([span]));
      const from = (await this.#fromAhead(span, joint)) ?? (await cas.reconstruction(fileHash, span, joint));
      const urls = new SignedUrls(from, (shared) => cas.reconstruction(fileHash, span, shared));
      return { from, urls, span, exact: span.end === fileSize };
    };
    return sections ? sections.ask(span, ask, signal) : ask(signal);
  }

  /** A batch reconstruction may give a file a range that it shares with others; undefined if that costs too much. */
  async #fromAhead(span: ByteRange, signal: AbortSignal): Promise<Reconstruction | undefined> {
    const { ahead, fileHash, fileSize } = this.#options;
    if (span.start > 0 || span.end < fileSize) return undefined;
    const from = await ahead?.take(fileHash, signal);
    if (!from || reach(from) !== fileSize) return undefined;
    return isCheap(await this.#plan({ from, span, exact: true, wanted: [span] }), [span]) ? from : undefined;
  }
}

/** True if jobs fetch little besides what is wanted. */
function isCheap(plan: Plan, wanted: readonly ByteRange[]): boolean {
  return wasteOf(plan) <= Math.max(WASTE_BYTES, WASTE_SHARE * lengthOf(wanted));
}

/** A range out to the borders of the chunks that it meets, as far as a reconstruction was made for it. */
function chunksAround({ from, span }: SignedReconstruction, { start, end }: ByteRange, fileSize: number): ByteRange {
  const first = span.start - from.offsetIntoFirstTerm;
  const last = Math.min(span.start + reach(from), fileSize);
  return {
    start: start - first < MAX_CHUNK_BYTES ? Math.min(first, start) : start,
    end: last - end < MAX_CHUNK_BYTES ? Math.max(last, end) : end,
  };
}

function placed({ from, span }: SignedReconstruction): PlacedTerm[] {
  let at = span.start - from.offsetIntoFirstTerm;
  return from.terms.map((term) => {
    const here = { ...term, at };
    at += term.unpackedLength;
    return here;
  });
}

/** The part of a window that has all its holes, if there is any. */
function trimmed(window: ByteRange, had: readonly ByteRange[]): ByteRange | undefined {
  const holes = without(window, had);
  const [first] = holes;
  const last = holes.at(-1);
  return first && last && { start: first.start, end: last.end };
}

/** Bytes that the terms of a reconstruction give, from where it was asked to begin. */
function reach({ terms, offsetIntoFirstTerm }: Reconstruction): number {
  return terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0) - offsetIntoFirstTerm;
}

/** The stages of a read, with the time that planning takes noted. */
export async function* timedStages(
  stages: WindowPlanner,
  had: readonly ByteRange[],
  log: MetricsLog,
): AsyncGenerator<Stage> {
  const all = stages.all(had);
  for (;;) {
    const { done, value } = await log.timed('planning', () => all.next());
    if (done) return;
    yield value;
  }
}

/** All that makes a part of a file: what is to be fetched, and what is here. */
export interface Stage {
  /** Wanted range; local parts may extend beyond it, as they are whole chunks. */
  range: ByteRange;
  plan: Plan;
  /** Addresses for the sections of the plan. */
  urls: SignedUrls[];
  /** Ascending; together with the pieces they fill what is wanted. */
  locals: LocalPart[];
}
