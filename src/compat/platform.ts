import type { BaseXetClient } from '../client/client.ts';
import type { XetClientOptions } from '../client/options.ts';

/** How a call is to be answered: by xetkit, by the original, or by xetkit and in no case by the original. */
export type Mode = 'on' | 'off' | 'strict';

/** What the environment asks of the drop-in. */
export interface Switches {
  mode: Mode;
  /** Whether to go without Xet. */
  xetDisabled: boolean;
}

/** What differs between browsers, and Node, Deno and Bun. */
export interface CompatPlatform {
  makeClient(options: XetClientOptions): BaseXetClient;
  switches(): Switches;
  /** `@huggingface/hub`, if it is installed. */
  loadOriginal(): Promise<object | undefined>;
}
