import type { Vectors } from './vectors.ts';

/**
 * Where chunks end, by the protocol's rule read literally: hash every byte from the start of the chunk, cut
 * after a byte where the masked hash is zero, never below the minimum, always at the maximum. Slow on purpose.
 */
export function naiveChunkEnds(
  data: Uint8Array,
  vectors: Pick<Vectors, 'gearTable_hex_u64' | 'chunkParams'>,
): number[] {
  const gear = vectors.gearTable_hex_u64.map((word) => BigInt(`0x${word}`));
  const mask = BigInt(`0x${vectors.chunkParams.mask}`);
  const { min, max } = vectors.chunkParams;
  const ends: number[] = [];
  let start = 0;
  let hash = 0n;
  for (let index = 0; index < data.length; index++) {
    hash = BigInt.asUintN(64, (hash << 1n) + gear[data[index]!]!);
    const length = index + 1 - start;
    const matches = (hash & mask) === 0n;
    if ((matches && length >= min) || length === max) {
      ends.push(index + 1);
      start = index + 1;
      hash = 0n;
    }
  }
  if (start < data.length) ends.push(data.length);
  return ends;
}
