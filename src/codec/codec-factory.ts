import type { Opaque } from '../core/opaque.ts';
import type { Codec } from './codec.ts';

/** The codec of the calling thread: `threadCodec`. */
export interface CodecFactory extends Opaque<'codec'> {}

export const codecFactory = (load: () => Promise<Codec>): CodecFactory => load as unknown as CodecFactory;

export const loadsCodec = (factory: CodecFactory): (() => Promise<Codec>) => factory as unknown as () => Promise<Codec>;
