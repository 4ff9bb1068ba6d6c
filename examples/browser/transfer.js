// @ts-check
// One go at a file: from its first byte, whatever of it is here already, until it is verified or stopped.
import { LocalOrigin, Sources } from './sources.js';
import { Speed } from './speed.js';

/**
 * @typedef {{ repo: string, path: string, revision: string }} Target
 * @typedef {{ sources: Sources, network: number, kept: number }} Earlier what goes before this one had of a file, what
 *   came over the network for it, and what it added to the cache
 * @typedef {'resolving' | 'recalling' | 'downloading' | 'verified'} Phase
 */

/**
 * A pause is the end of a go, and going on is another one that reads from the start: every chunk that came is in
 * the chunk cache by then, is hashed again and costs no request. So there is no second way to verify a file.
 */
export class Transfer {
  /** @type {Phase} */
  phase = 'resolving';
  /** @type {import('./xetkit.js').XetFile | undefined} */
  file;
  sources = new Sources();
  seconds = 0;
  #client;
  #target;
  #recall;
  /** @type {Earlier | undefined} */
  #earlier;
  #sink;
  #onChange;
  #arrivedAt = 0;
  #speed = new Speed();

  /**
   * @param {object} parts
   * @param {import('./xetkit.js').XetClient} parts.client used for nothing else, so that its metrics are this go's
   * @param {Target} parts.target
   * @param {(identity: string) => Earlier | undefined} parts.recall what is remembered of this content
   * @param {import('./sinks.js').Sink} parts.sink
   * @param {() => void} parts.onChange
   */
  constructor({ client, target, recall, sink, onChange }) {
    this.#client = client;
    this.#target = target;
    this.#recall = recall;
    this.#sink = sink;
    this.#onChange = onChange;
  }

  /** Bytes that are there: they were delivered now, or by a go before this one. */
  get done() {
    return Math.max(this.sources.end, this.#before.end);
  }

  /** All that is known of where bytes came from. */
  get known() {
    return this.sources.followedBy(this.#before);
  }

  /** Bytes that came over the network, in all goes. */
  get network() {
    return (this.#earlier?.network ?? 0) + this.#client.metrics().bytes.network;
  }

  /** Bytes that earlier goes added to the cache. */
  get keptBefore() {
    return this.#earlier?.kept ?? 0;
  }

  get metrics() {
    return this.#client.metrics();
  }

  /** Whether nothing has arrived for some seconds, as when there is no network. */
  get waiting() {
    return this.phase === 'downloading' && performance.now() - this.#arrivedAt > WAITING_MS;
  }

  /** Bytes a second, and seconds left. Undefined while nothing can be said. */
  get pace() {
    const perSecond = this.phase === 'downloading' && !this.waiting ? this.#speed.perSecond() : undefined;
    const left = (this.file?.size ?? 0) - this.sources.end;
    return { perSecond, secondsLeft: perSecond ? left / perSecond : undefined };
  }

  get #before() {
    return this.#earlier?.sources ?? NOTHING;
  }

  /**
   * Resolves once the file is verified, with what the sink made of it; rejects with an error, or with the reason of
   * the signal.
   * @param {AbortSignal} signal
   */
  async run(signal) {
    const started = performance.now();
    try {
      const { repo, revision, path } = this.#target;
      const file = await this.#client.open({ repo, revision, path, signal });
      this.file = file;
      this.#earlier = this.#recall(identityOf(file));
      await this.#read(file, signal);
      // The stream has ended, which it does only after the hash of the whole was found right.
      const content = await this.#sink.finish();
      this.phase = 'verified';
      return content;
    } catch (error) {
      await this.#sink.discard().catch(() => undefined);
      throw error;
    } finally {
      this.seconds = (performance.now() - started) / 1000;
      this.#onChange();
    }
  }

  /** @param {import('./xetkit.js').XetFile} file @param {AbortSignal} signal */
  async #read(file, signal) {
    const origin = new LocalOrigin(this.#earlier);
    const reader = file.stream({ signal }).getReader();
    this.#enter(this.#before.end > 0 ? 'recalling' : 'downloading');
    let cached = 0;
    for (;;) {
      this.#arrivedAt = performance.now();
      // A wait is shown as well, during which nothing else happens.
      const looking = setInterval(() => this.waiting && this.#onChange(), 1000);
      const { done, value } = await reader.read().finally(() => clearInterval(looking));
      if (done) return;
      // The stream reads nothing ahead of what is asked for: what was counted since last time is this piece.
      const before = cached;
      cached = this.#client.metrics().bytes.cache;
      const isLocal = cached - before >= value.length;
      this.sources.append(value.length, isLocal ? origin.of(this.sources.end, value.length) : 'network');
      await this.#sink.write(/** @type {Uint8Array<ArrayBuffer>} */ (value));
      if (this.phase === 'recalling' && this.sources.end >= this.#before.end) this.#enter('downloading');
      this.#speed.note(this.sources.end);
      this.#onChange();
    }
  }

  /** @param {Phase} phase */
  #enter(phase) {
    this.phase = phase;
    this.#speed.reset();
    this.#speed.note(this.sources.end);
    this.#onChange();
  }
}

const WAITING_MS = 3000;
const NOTHING = new Sources();

/**
 * What content is known by, whatever it is called.
 * @param {{ xetHash: string | undefined, etag: string, size: number }} file
 */
export function identityOf({ xetHash, etag, size }) {
  return `${xetHash ?? etag}-${size}`;
}
