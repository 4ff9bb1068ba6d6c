// @ts-check
// Weights as models have them: tensors of normally distributed floats in a valid safetensors file.

/**
 * A seeded generator of uniform numbers in [0, 1).
 * @param {number} seed
 */
export function uniform(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/**
 * @param {number} count
 * @param {number} scale standard deviation
 * @param {() => number} random
 */
export function normals(count, scale, random) {
  const values = new Float32Array(count);
  for (let index = 0; index < count; index += 2) {
    const radius = scale * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[index] = radius * Math.cos(angle);
    if (index + 1 < count) values[index + 1] = radius * Math.sin(angle);
  }
  return values;
}

/**
 * A safetensors file of a small transformer: an embedding, then layers of equal shape.
 * @param {{ layers: number, width: number, vocabulary: number, seed: number }} shape
 * @returns {Uint8Array}
 */
export function makeModel({ layers, width, vocabulary, seed }) {
  const random = uniform(seed);
  /** @type {[name: string, shape: number[], scale: number][]} */
  const tensors = [['embedding.weight', [vocabulary, width], 0.02]];
  for (let layer = 0; layer < layers; layer++) {
    tensors.push([`layers.${layer}.attention.qkv.weight`, [3 * width, width], 1 / Math.sqrt(width)]);
    tensors.push([`layers.${layer}.attention.out.weight`, [width, width], 0.5 / Math.sqrt(width)]);
    tensors.push([`layers.${layer}.mlp.up.weight`, [4 * width, width], 1 / Math.sqrt(width)]);
    tensors.push([`layers.${layer}.mlp.down.weight`, [width, 4 * width], 0.5 / Math.sqrt(width)]);
    tensors.push([`layers.${layer}.norm.weight`, [width], 1]);
  }
  let end = 0;
  /** @type {Record<string, object>} */
  const header = { __metadata__: { format: 'pt' } };
  for (const [name, dimensions] of tensors) {
    const start = end;
    end += dimensions.reduce((product, size) => product * size, 4);
    header[name] = { dtype: 'F32', shape: dimensions, data_offsets: [start, end] };
  }
  const json = JSON.stringify(header);
  // The data begins at a multiple of eight.
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const [, dimensions, scale] of tensors) {
    const values = normals(
      dimensions.reduce((product, size) => product * size, 1),
      scale,
      random,
    );
    file.set(new Uint8Array(values.buffer), at);
    at += values.byteLength;
  }
  return file;
}

/**
 * The same file after a short training of some of its tensors: a share of the bytes has changed, in runs.
 * @param {Uint8Array} model
 * @param {{ share: number, runs: number, seed: number }} change
 * @returns {Uint8Array}
 */
export function fineTune(model, { share, runs, seed }) {
  const random = uniform(seed);
  const tuned = model.slice();
  const headerEnd = 8 + Number(new DataView(model.buffer, model.byteOffset).getBigUint64(0, true));
  const runBytes = Math.floor(((model.length - headerEnd) * share) / runs / 4) * 4;
  const spacing = Math.floor((model.length - headerEnd) / runs / 4) * 4;
  for (let run = 0; run < runs; run++) {
    const start = headerEnd + run * spacing;
    const bytes = new Uint8Array(normals(runBytes / 4, 0.03, random).buffer);
    tuned.set(bytes.subarray(0, Math.min(bytes.length, tuned.length - start)), start);
  }
  return tuned;
}
