import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { chunkFile } from '../../codec/chunk-file.node.ts';
import { type ContentHash, etagCheck, type Verified } from '../../core/content-hash.ts';
import { open, stat } from '../../fs/disk.node.ts';
import { ifPresent } from '../../fs/if-present.ts';
import type { VerifiedFiles } from '../verified-files.ts';

const READ_BYTES = 1024 * 1024;

/** Expected content of a file. */
export interface WantedContent {
  etag: string;
  /** Bytes. */
  size: number;
  xetHash: string | undefined;
}

export function nodeContentHash(algorithm: 'sha1' | 'sha256'): ContentHash {
  const hash = createHash(algorithm);
  return {
    update: (bytes: Uint8Array) => void hash.update(bytes),
    digest: async () => hash.digest('hex'),
  };
}

/**
 * Verifies the file at a path; undefined if it is missing or different. It is hashed unless it is known and unchanged.
 */
export async function checkContent(
  path: string,
  wanted: WantedContent,
  known: VerifiedFiles,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  signal.throwIfAborted();
  const remembered = await known.check(path, wanted.etag, wanted.size);
  if (remembered) return remembered;
  const before = await lookAt(path);
  if (before?.size !== BigInt(wanted.size)) return undefined;
  // In a bucket the tag is a Xet hash. Some files were chunked by other rules, so their hashes differ from this one.
  const matching =
    wanted.etag === wanted.xetHash
      ? chunkFile(path, signal).then(({ fileHash }) => (fileHash === wanted.xetHash ? ('xet' as const) : undefined))
      : hashMatches(path, wanted.etag, wanted.size, signal);
  const verified = await matching.catch(() => {
    signal.throwIfAborted();
    // A file that cannot be read is as good as none: another one can take its place.
    return undefined;
  });
  if (!verified || isNewer(await lookAt(path), before)) return undefined;
  await known.remember(path, { etag: wanted.etag, xetHash: wanted.xetHash, verified }, before);
  return verified;
}

/** Compares a file's content with an etag; undefined also for etags that are not content hashes. */
export async function hashMatches(
  path: string,
  etag: string,
  size: number,
  signal: AbortSignal,
  /** Given all pieces, one after the other. */
  onBytes?: (bytes: Uint8Array) => Promise<void>,
): Promise<Verified | undefined> {
  const check = etagCheck(etag, size, nodeContentHash);
  if (!check) return undefined;
  // One piece is hashed while the one before it is passed on and the next one is read.
  let passedOn: Promise<void> | undefined;
  try {
    const read = await readThrough(path, signal, async (bytes) => {
      check.hash.update(bytes);
      await passedOn;
      passedOn = onBytes?.(bytes);
      // Told when the next one is passed on, or at the end.
      passedOn?.catch(() => undefined);
    });
    await passedOn;
    return read === size && (await check.hash.digest()) === etag ? check.verified : undefined;
  } finally {
    await passedOn?.catch(() => undefined);
  }
}

/**
 * Reads a file from its start to its end, a piece ahead of who takes it, and gives the bytes read. What was taken stays
 * as it is until the next piece has been taken too.
 */
async function readThrough(
  path: string,
  signal: AbortSignal,
  take: (bytes: Uint8Array) => Promise<void>,
): Promise<number> {
  const handle = await open(path, 'r');
  const buffers = Array.from({ length: 3 }, () => Buffer.allocUnsafe(READ_BYTES));
  const read = async (at: number) => {
    // The one that was used longest ago.
    const buffer = buffers.shift() ?? Buffer.allocUnsafe(READ_BYTES);
    buffers.push(buffer);
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, at);
    return buffer.subarray(0, bytesRead);
  };
  let at = 0;
  let pending = read(at);
  try {
    for (;;) {
      const bytes = await pending;
      signal.throwIfAborted();
      if (bytes.length === 0) return at;
      at += bytes.length;
      pending = read(at);
      await take(bytes);
    }
  } finally {
    await pending.catch(() => undefined);
    await handle.close();
  }
}

/** A file as it is now; undefined for anything that is none. */
export async function lookAt(path: string): Promise<BigIntStats | undefined> {
  const found = await ifPresent(() => stat(path, { bigint: true }));
  return found?.isFile() ? found : undefined;
}

/**
 * True if a file was written to since. Remembering a file may set its time back, even while another process reads it.
 */
export function isNewer(now: BigIntStats | undefined, before: BigIntStats): boolean {
  return now === undefined || now.ino !== before.ino || now.size !== before.size || now.mtimeNs > before.mtimeNs;
}
