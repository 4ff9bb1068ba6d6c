import { makeModel, uniform } from '../../scripts/demo/weights.mjs';

/** Seeded bytes without any pattern. */
export function randomBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  const random = uniform(seed);
  for (let index = 0; index < words.length; index++) words[index] = random() * 2 ** 32;
  return new Uint8Array(words.buffer, 0, length);
}

/** Text that compresses well but does not repeat as a whole. */
export function text(length: number, seed: number): Uint8Array {
  const random = uniform(seed);
  const words = ['xorb', 'chunk', 'term', 'shard', 'reconstruction', 'hash', 'range', 'file', 'of', 'the', 'and'];
  let out = '';
  while (out.length < length) out += `${words[Math.floor(random() * words.length)]} ${Math.floor(random() * 1000)} `;
  return new TextEncoder().encode(out.slice(0, length));
}

/** A safetensors file of about this many megabytes. */
export function weights(megabytes: number, seed: number): Uint8Array {
  const width = 256;
  const layers = Math.max(1, Math.round((megabytes * 1e6) / (12 * width * width * 4)));
  return makeModel({ layers, width, vocabulary: 64, seed });
}
