import type { Codec } from './codec.ts';

/** What decodes and hashes on the calling thread. Handed in as `codec`. */
export type CodecWork = () => Promise<Codec>;
