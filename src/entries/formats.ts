/**
 * `xetkit/formats`: the headers of safetensors and GGUF files, read from any source of bytes.
 * @module
 */
export {
  type GgufArray,
  type GgufHeader,
  type GgufTensor,
  type GgufValue,
  type ReadGgufOptions,
  readGgufHeader,
} from '../formats/gguf.ts';
export { readSafetensors, type Safetensors, type SafetensorsTensor, type TensorData } from '../formats/safetensors.ts';
export type { ByteSource, ReadFormatOptions } from '../formats/source.ts';
