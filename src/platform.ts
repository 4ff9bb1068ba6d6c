import type { SpawnWorker } from '../workers/spawn.ts';
import type { Codec } from './codec/codec.ts';
import type { MakeContentHash } from './download/content-hash.ts';
import type { Fetch } from './http/http.ts';
import type { Places } from './repo/place.ts';

/** All that differs between browsers, Node, Deno and Bun. An entry of the package picks one. */
export interface Platform {
  fetch: Fetch;
  loadCodec: () => Promise<Codec>;
  spawnWorker: SpawnWorker | undefined;
  /** Whether a request may ask for several ranges without further ado: not so in a page. */
  multiRange: boolean;
  /** Processors that may be used. */
  processors: number;
  /** Memory budget where none is given, in bytes. */
  memoryBudgetBytes: number;
  makeContentHash: MakeContentHash;
  /** What the environment says about the endpoint and the token. */
  defaultEndpoint: () => string | undefined;
  /** Whether the environment asks to go without Xet. */
  xetDisabled: () => boolean;
  defaultToken: () => Promise<string | undefined>;
  /** Where files go; undefined where there is no file system. */
  places: Places | undefined;
}
