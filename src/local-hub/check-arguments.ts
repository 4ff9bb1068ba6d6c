import { checked } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';
import type { Content } from './content.ts';

const CALLS = {
  seed: "seed('./repositories')",
  commitFiles: "commitFiles('owner/model', { 'config.json': '{}' })",
  putFiles: "putFiles('buckets/owner/data', { 'log.txt': 'started' })",
  createRepo: "createRepo('owner/model')",
  setRepo: "setRepo('owner/model', { private: true })",
  allowOrigin: "allowOrigin('http://localhost:3000')",
};

/** Checks positional arguments, all required, against a table of kinds. Throws `INVALID_ARGUMENT`. */
export function checkArguments<T extends object>(call: keyof typeof CALLS, given: T, table: string): T {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === '') throw invalid(`${call} needs '${name}'. Write ${CALLS[call]}.`);
  }
  return checked(call, given, table);
}

/** Throws `INVALID_ARGUMENT` for files whose content is of another kind than bytes, text or a file on disk. */
export function checkContents(call: string, files: Record<string, Content>): void {
  for (const [path, content] of Object.entries(files)) {
    const { file } = typeof content === 'object' ? ((content as { file?: unknown } | null) ?? {}) : {};
    if (typeof content === 'string' || content instanceof Uint8Array || typeof file === 'string') continue;
    throw invalid(`${call}: the content of '${path}' must be bytes, a string or { file: path }.`);
  }
}

/** Throws `INVALID_ARGUMENT` if a value is none of the choices. */
export function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (value === undefined || choices.includes(value)) return;
  const list = choices.map((choice) => JSON.stringify(choice)).join(', ');
  throw invalid(`${name} must be one of ${list}, not ${JSON.stringify(value) ?? typeof value}.`);
}

export function invalid(message: string): XetError {
  return new XetError('INVALID_ARGUMENT', message);
}
