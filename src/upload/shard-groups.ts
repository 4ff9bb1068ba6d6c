import type { ShardFile } from '../codec/shard.ts';

/** A xorb as a shard lists it. */
export interface ListedXorb {
  hash: string;
  /** Chunks. */
  count: number;
}

/** What one shard holds. */
export interface ShardGroup<X extends ListedXorb> {
  xorbs: X[];
  files: ShardFile[];
}

/** Servers take shards of 64 MiB; every record of one has 48 bytes. */
export const MAX_SHARD_BYTES = 64 * 1024 * 1024;
const RECORD_BYTES = 48;
/** Header, and the marks at the end of both sections. */
const FRAME_BYTES = 3 * RECORD_BYTES;

/**
 * Divides xorbs and files among shards that are not too large: mostly there is one. Xorbs come first, so that no file
 * is registered before the xorbs of this upload that it is made of. A file that is in the list twice is registered once.
 */
export function shardGroups<X extends ListedXorb>(
  xorbs: readonly X[],
  files: readonly ShardFile[],
  maxBytes = MAX_SHARD_BYTES,
): ShardGroup<X>[] {
  const groups: ShardGroup<X>[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  const roomFor = (records: number): ShardGroup<X> => {
    const needed = records * RECORD_BYTES;
    const last = groups.at(-1);
    if (last && bytes + needed <= maxBytes) {
      bytes += needed;
      return last;
    }
    const group: ShardGroup<X> = { xorbs: [], files: [] };
    groups.push(group);
    bytes = FRAME_BYTES + needed;
    return group;
  };
  for (const xorb of xorbs) roomFor(1 + xorb.count).xorbs.push(xorb);
  const seen = new Set<string>();
  for (const file of files) {
    if (seen.has(file.hash)) continue;
    seen.add(file.hash);
    roomFor(2 + 2 * file.terms.length).files.push(file);
  }
  return groups;
}
