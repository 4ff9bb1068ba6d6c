import type { BaseXetClient } from '../client/client.ts';
import type { XetClientOptions } from '../client/options.ts';

/** Mode of a call: xetkit with fallback (`on`), the original (`off`), or xetkit only (`strict`). */
export type Mode = 'on' | 'off' | 'strict';

/** Settings of the drop-in from the environment. */
export interface Switches {
  mode: Mode;
  /** True if Xet is disabled. */
  xetDisabled: boolean;
}

/** Differences between browsers and Node, Deno and Bun. */
export interface CompatPlatform {
  makeClient(options: XetClientOptions): BaseXetClient;
  switches(): Switches;
  /** `@huggingface/hub`, if it is installed. */
  loadOriginal(): Promise<object | undefined>;
}
