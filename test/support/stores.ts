import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import type { Verified } from '../../src/core/content-hash.ts';
import type { Place } from '../../src/files/place.ts';
import type { FileContent, VerifiedFiles } from '../../src/files/verified-files.ts';
import type { ResolvedFile } from '../../src/hub/client.ts';
import { checkPath } from '../../src/hub/repo.ts';
import type { ListEntry } from '../../src/hub/types.ts';

export const REPO = { type: 'model', name: 'owner/model' } as const;
export const COMMIT = 'c'.repeat(40);
export const OTHER_COMMIT = 'd'.repeat(40);

export const bytesOf = (text: string) => new TextEncoder().encode(text);
export const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
export const gitSha1Of = (bytes: Uint8Array) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/** A file of the repository, as a Hub would describe it. */
export function fileOf(path: string, bytes: Uint8Array, more: Partial<ResolvedFile> = {}): ResolvedFile {
  return {
    repo: REPO,
    path: checkPath(path),
    size: bytes.length,
    etag: sha256Of(bytes),
    commit: COMMIT,
    xetHash: undefined,
    url: 'http://127.0.0.1:9/',
    tokenUrl: '',
    ...more,
  };
}

export function entryOf(path: string, bytes: Uint8Array, more: Partial<ListEntry> = {}): ListEntry {
  const shared = { path, type: 'file' as const, size: bytes.length, oid: gitSha1Of(bytes) };
  return { ...shared, sha256: undefined, xetHash: undefined, ...more };
}

/** Known files in memory, counting how often a file had to be hashed. */
export class KnownHere implements VerifiedFiles {
  readonly remembered: string[] = [];
  readonly #files = new Map<string, FileContent & { look: string }>();

  async remember(path: string, content: FileContent): Promise<void> {
    this.remembered.push(path);
    // Like the real ones it fails nobody: Python's client removes what it is about to replace.
    const real = await realpath(path).catch(() => undefined);
    const look = real && (await lookOf(real).catch(() => undefined));
    if (real && look) this.#files.set(real, { ...content, look });
  }

  async check(path: string, etag: string): Promise<Verified | undefined> {
    const real = await realpath(path).catch(() => '');
    const known = this.#files.get(real);
    return known?.etag === etag && known.look === (await lookOf(real)) ? known.verified : undefined;
  }

  async pathsOf(): Promise<string[]> {
    return [];
  }

  async forget(path: string): Promise<void> {
    this.#files.delete(await realpath(path));
  }

  async usage(): Promise<{ bytes: number; files: number }> {
    return { bytes: 0, files: this.#files.size };
  }

  async clear(): Promise<void> {
    this.#files.clear();
  }
}

async function lookOf(path: string): Promise<string> {
  const { size, ino, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return `${size} ${ino} ${mtimeNs} ${ctimeNs}`;
}

export const quiet = { signal: new AbortController().signal, onWait: () => undefined, resume: true };

/** What a download does with a place: looks, or writes and publishes. Says whether it had to write. */
export async function fill(
  place: Place,
  bytes: Uint8Array,
  onWait?: () => void,
): Promise<{ path: string; wrote: boolean }> {
  const found = await place.existing(quiet.signal);
  if (found) return { path: found.localPath, wrote: false };
  let waited = false;
  const sink = await place.openSink({
    ...quiet,
    onWait: () => {
      waited = true;
      onWait?.();
    },
  });
  try {
    const come = waited ? await place.existing(quiet.signal) : undefined;
    if (come) return { path: come.localPath, wrote: false };
    await sink.write(0, bytes, new Uint8Array());
    return { path: await sink.publish('sha256'), wrote: true };
  } finally {
    await sink.close();
  }
}
