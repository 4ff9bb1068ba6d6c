import type { FetchRange } from '../cas/reconstruction.ts';
import { findSame, type Reconstruction, type SignedXorb } from '../cas/reconstruction.ts';
import { XetError } from '../core/errors.ts';
import { Shared } from '../core/shared.ts';
import type { Section } from './plan.ts';

/**
 * The signed addresses of one download. When one has expired they all soon will: whoever notices first asks
 * for a new reconstruction, once for all, and everybody goes on with its addresses.
 */
export class SignedUrls {
  #current: Reconstruction;
  readonly #refresh = new Shared<Reconstruction>();
  readonly #ask: (signal: AbortSignal) => Promise<Reconstruction>;

  constructor(initial: Reconstruction, ask: (signal: AbortSignal) => Promise<Reconstruction>) {
    this.#current = initial;
    this.#ask = ask;
  }

  /** The signed address for a range, good as far as is known. */
  find(xorb: string, range: FetchRange): SignedXorb {
    const signed = findSame(this.#current, xorb, range);
    if (signed) return signed;
    throw new XetError(
      'PROTOCOL',
      `The CAS lays out xorb ${xorb} in another way than a moment ago; start the download again.`,
      {
        retryable: true,
      },
    );
  }

  /** Replaces the addresses, unless somebody has done so since `expired` was handed out. */
  async renew(xorb: string, range: FetchRange, expired: string, signal?: AbortSignal): Promise<SignedXorb> {
    if (this.find(xorb, range).url === expired) {
      await this.#refresh.join(async (shared) => {
        this.#current = await this.#ask(shared);
        return this.#current;
      }, signal);
    }
    return this.find(xorb, range);
  }
}

/** A reconstruction of a span of a file, and its addresses. */
export type SignedReconstruction = Omit<Section, 'wanted'> & { urls: SignedUrls };
