import { gguf } from '@huggingface/gguf';
import { createXetFetch } from 'xetkit/fetch';

// What a user of @huggingface/gguf writes: what a model is, without its weights.
export default async function readHeader({ url, client, token }) {
  const { metadata, tensorInfos, parameterCount } = await gguf(url, {
    fetch: createXetFetch({ client }),
    computeParametersCount: true,
    ...(token !== undefined && { additionalFetchHeaders: { Authorization: `Bearer ${token}` } }),
  });
  const tokens = metadata['tokenizer.ggml.tokens'];
  return {
    architecture: metadata['general.architecture'],
    tokens: tokens.length,
    lastToken: tokens.at(-1),
    tensors: tensorInfos.map(({ name, shape }) => [name, ...shape].join(' ')),
    parameterCount,
  };
}
