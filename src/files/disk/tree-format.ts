import { isHashHex } from '../../core/hash.ts';
import { isCount, isRecord } from '../../core/json-values.ts';
import { checkPath } from '../../hub/repo.ts';
import type { ListEntry } from '../../hub/types.ts';

/*
 * The files of a commit as Python's client keeps them.
 */
const FORMAT_VERSION = 1;
const SHA256 = /^[0-9a-f]{64}$/;

/** Undefined for a listing without the xet hash of a large file: a Hub may withhold it for now. */
export function formatTree(entries: readonly ListEntry[]): string | undefined {
  const files = entries.filter(({ type }) => type === 'file');
  if (files.some(({ sha256, xetHash }) => sha256 !== undefined && !isHashHex(xetHash))) return undefined;
  const described = files
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, size, oid, sha256, xetHash }) => [
      path,
      {
        size,
        blob_id: oid,
        ...(sha256 !== undefined && { lfs_sha256: sha256, lfs_size: size }),
        ...(xetHash !== undefined && { xet_hash: xetHash }),
      },
    ]);
  const text = JSON.stringify({ format_version: FORMAT_VERSION, files: Object.fromEntries(described) }, undefined, 1);
  // In ASCII alone, as Python writes it: the same listing is then the same file.
  return text.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Undefined for anything that is not wholly a listing in a form we know. */
export function parseTree(text: string): ListEntry[] | undefined {
  try {
    const tree: unknown = JSON.parse(text);
    if (!isRecord(tree) || tree.format_version !== FORMAT_VERSION || !isRecord(tree.files)) return undefined;
    const entries = Object.entries(tree.files).map(([path, file]) => parseEntry(path, file));
    return entries.every((entry) => entry !== undefined) ? entries : undefined;
  } catch {
    return undefined;
  }
}

/** Throws for a path that could leave a folder. */
function parseEntry(path: string, file: unknown): ListEntry | undefined {
  if (!isRecord(file)) return undefined;
  const { size, blob_id: oid, lfs_sha256: sha256 = null, lfs_size: lfsSize = null, xet_hash: xetHash = null } = file;
  const right =
    isCount(size) &&
    typeof oid === 'string' &&
    (sha256 === null ? lfsSize === null : typeof sha256 === 'string' && SHA256.test(sha256) && isCount(lfsSize)) &&
    (xetHash === null || isHashHex(xetHash));
  if (!right) return undefined;
  return {
    path: checkPath(path),
    type: 'file',
    size: lfsSize === null ? size : (lfsSize as number),
    oid,
    sha256: sha256 === null ? undefined : (sha256 as string),
    xetHash: xetHash === null ? undefined : xetHash,
  };
}
