import { untilAborted } from '../core/abortable.ts';
import { isXetError } from '../core/errors.ts';
import { inTurns } from '../core/event-loop.ts';
import type { Http } from '../http/http.ts';
import type { CasTokenSource } from '../hub/token.ts';
import { withToken } from './client.ts';
import { type Reconstruction, readReconstructions } from './reconstruction.ts';

/** In which form a CAS answers questions about several files, by its address. */
export type BatchForms = Map<string, BatchForm | 'none'>;
/** An address with all hashes, as xet-core's client has it, or a body, as is documented. */
type BatchForm = 'GET' | 'POST';

/** Largest answer to a question about several files, in bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** So that the address, 73 characters a file, stays below the 8 KiB that servers take. */
const FILES_AT_ONCE = 64;

interface Group {
  hashes: readonly string[];
  /** Files that were not taken yet. */
  left: number;
  next: Group | undefined;
  answer?: Promise<Map<string, Reconstruction>>;
}

/**
 * Reconstructions of many small files that will be wanted one after the other, asked for in groups: one by one their
 * questions are half of all requests. Where a CAS does not answer such a question, each file asks for itself.
 */
export class ReconstructionsAhead {
  readonly #http: Http;
  readonly #tokens: CasTokenSource;
  readonly #groups = new Map<string, Group>();
  readonly #closing = new AbortController();
  readonly #forms: BatchForms;

  /**
   * @param fileHashes in the order in which they are likely to be wanted.
   * @param forms what is known of each CAS, and is learned here
   */
  constructor(http: Http, tokens: CasTokenSource, fileHashes: Iterable<string>, forms: BatchForms = new Map()) {
    this.#http = http;
    this.#tokens = tokens;
    this.#forms = forms;
    const all = [...new Set(fileHashes)];
    let before: Group | undefined;
    for (let first = 0; first < all.length; first += FILES_AT_ONCE) {
      const hashes = all.slice(first, first + FILES_AT_ONCE);
      const group: Group = { hashes, left: hashes.length, next: undefined };
      for (const hash of hashes) this.#groups.set(hash, group);
      if (before) before.next = group;
      before = group;
    }
  }

  /** The reconstruction of a whole file, once; nothing if it is to be asked for by itself. */
  async take(fileHash: string, signal: AbortSignal): Promise<Reconstruction | undefined> {
    const group = this.#groups.get(fileHash);
    if (!group) return undefined;
    this.#groups.delete(fileHash);
    group.left--;
    const answer = this.#answerOf(group);
    const found = await untilAborted(signal, answer);
    // Those that are next come while these are fetched; not before it is known that there are answers.
    if (group.next && group.left < group.hashes.length / 2) this.#answerOf(group.next);
    const reconstruction = found.get(fileHash);
    found.delete(fileHash);
    return reconstruction;
  }

  /** Ends what nobody waits for any more. */
  close(): void {
    this.#closing.abort();
  }

  #answerOf(group: Group): Promise<Map<string, Reconstruction>> {
    group.answer ??= this.#ask(group.hashes);
    return group.answer;
  }

  async #ask(hashes: readonly string[]): Promise<Map<string, Reconstruction>> {
    if (hashes.length < 2) return new Map();
    const { signal } = this.#closing;
    try {
      const { casUrl } = await this.#tokens.get(signal);
      const known = this.#forms.get(casUrl);
      if (known === 'none') return new Map();
      for (const form of known ? [known] : (['GET', 'POST'] as const)) {
        try {
          const found = await this.#askAs(form, hashes);
          this.#forms.set(casUrl, form);
          return found;
        } catch (error) {
          // Each file then asks for itself: what is wrong is told there, or was wrong with this question only.
          if (signal.aborted || isXetError(error, 'NETWORK', 'SERVER', 'TIMEOUT', 'RATE_LIMITED')) return new Map();
        }
      }
      this.#forms.set(casUrl, 'none');
    } catch {
      // Without a token every file is told what is wrong.
    }
    return new Map();
  }

  #askAs(form: BatchForm, hashes: readonly string[]): Promise<Map<string, Reconstruction>> {
    const { signal } = this.#closing;
    return withToken(this.#tokens, signal, async (casUrl, token) => {
      const url = `${casUrl}/v1/reconstructions`;
      const once = { kind: 'cas' as const, signal, attempts: 1 };
      const { body } = await this.#http.json(
        form === 'GET'
          ? { ...once, url: `${url}?${hashes.map((hash) => `file_id=${hash}`).join('&')}`, headers: token }
          : {
              ...once,
              url,
              method: 'POST',
              headers: { ...token, 'content-type': 'application/json' },
              body: JSON.stringify(hashes.map((hash) => ({ prefix: 'default', hash }))),
            },
        MAX_ANSWER_BYTES,
      );
      return inTurns(readReconstructions(body), signal);
    });
  }
}
