import { foldersAbove } from '../repo/repo-path.ts';
import { fits, MatchBudget, readWildcards, type Wildcards } from './wildcards.ts';

/** Larger files never go into git itself. */
export const LARGE_FILE_BYTES = 1024 * 1024;

const BINARY_TYPES =
  '7z arrow bin bz2 ckpt ftz gguf gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors tar tflite tgz wasm xz zip zst';

/** The `.gitattributes` of a new repository. */
export function defaultAttributes(): string {
  return [...BINARY_TYPES.split(' ').map((type) => `*.${type}`), '*tfevents*']
    .map((pattern) => `${pattern} filter=lfs diff=lfs merge=lfs -text\n`)
    .join('');
}

/** One line of a `.gitattributes` or `.gitignore` and what it says. */
interface Rule {
  pattern: Wildcards;
  /** Goes by the whole path, not by the names in it. */
  anchored: boolean;
  folderOnly: boolean;
  says: boolean;
}

/** More lines than any repository has. */
const MAX_LINES = 10_000;

/** The rules of a repository's `.gitattributes` and `.gitignore`. */
export class UploadRules {
  readonly #large: Rule[];
  readonly #ignored: Rule[];
  readonly #budget = new MatchBudget();

  constructor(attributes = '', ignore = '') {
    this.#large = linesOf(attributes).flatMap((line) => {
      const [pattern = '', ...rest] = line.split(/\s+/);
      const says = rest.includes('filter=lfs') ? true : rest.includes('-filter') ? false : undefined;
      return says === undefined ? [] : readRule(pattern, says);
    });
    this.#ignored = linesOf(ignore).flatMap((line) =>
      line.startsWith('!') ? readRule(line.slice(1), false) : readRule(line, true),
    );
  }

  /** True if content goes through Xet: it is large, not text, or the attributes say so. */
  isLarge(path: string, size: number, sample: Uint8Array): boolean {
    if (size === 0) return false;
    if (size >= LARGE_FILE_BYTES || sample.includes(0)) return true;
    const name = path.slice(path.lastIndexOf('/') + 1);
    return lastWord(
      this.#large,
      ({ pattern, anchored, folderOnly }) => !folderOnly && fits(pattern, anchored ? path : name, this.#budget),
    );
  }

  /** True if the `.gitignore` leaves a path out. */
  isIgnored(path: string): boolean {
    if (this.#ignored.length === 0) return false;
    const words = path.split('/');
    const above = [...foldersAbove(path), path];
    return lastWord(this.#ignored, ({ pattern, anchored, folderOnly }) =>
      (anchored ? above : words)
        .slice(0, folderOnly ? -1 : undefined)
        .some((text) => fits(pattern, text, this.#budget)),
    );
  }
}

function linesOf(text: string): string[] {
  const lines = text.split('\n', MAX_LINES).map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

function readRule(text: string, says: boolean): Rule[] {
  const folderOnly = text.endsWith('/');
  const trimmed = folderOnly ? text.slice(0, -1) : text;
  const pattern = readWildcards(trimmed);
  return pattern ? [{ pattern, anchored: trimmed.includes('/'), folderOnly, says }] : [];
}

/** Of the rules that apply the last one counts. */
function lastWord(rules: Rule[], applies: (rule: Rule) => boolean): boolean {
  return rules.findLast(applies)?.says ?? false;
}
