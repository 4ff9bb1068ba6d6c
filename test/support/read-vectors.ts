import { readFile } from 'node:fs/promises';
import type { Vectors } from './vectors.ts';

/** Apart from `vectors.ts`, which browsers import too. */
export async function readVectors(): Promise<Vectors> {
  return JSON.parse(await readFile(new URL('../vectors/vectors.json', import.meta.url), 'utf8'));
}
