import type { PlacedTerm, Reconstruction } from '../../cas/reconstruction.ts';
import { XetError } from '../../core/errors.ts';
import type { ByteRange, ChunkRange } from '../../core/ranges.ts';
import { bytesOfChunks, type ChunkBytes, distinctChunks } from './chunk-bytes.ts';

/** A term of a file, with its place and how much of it needs no download. */
export interface TermLayout {
  /** Offset in the file, in bytes. */
  at: number;
  /** Uncompressed bytes. */
  bytes: number;
  xorb: string;
  chunks: ChunkRange;
  /** Bytes that are on this machine. */
  localBytes: number;
  /** Bytes whose chunks the other file has too; undefined without another file. */
  sharedBytes: number | undefined;
}

/** Use of a xorb by a file. */
export interface XorbLayout {
  xorb: string;
  terms: number;
  /** Distinct chunks that the file uses. */
  chunks: number;
  /** Uncompressed bytes of those chunks. */
  bytes: number;
  /** Compressed bytes that hold them. */
  storedBytes: number;
}

/** Structure of a file in the CAS. */
export interface FileLayout {
  /** Bytes. */
  size: number;
  terms: TermLayout[];
  /** In the order of first use. */
  xorbs: XorbLayout[];
  /** Chunks, each as often as the file has it. */
  chunks: number;
  /** Uncompressed bytes without repetitions. */
  distinctBytes: number;
  /** Compressed bytes of all chunks, each once. */
  storedBytes: number;
  localBytes: number;
  /** Bytes in common with the other file; undefined without one. */
  sharedBytes: number | undefined;
}

/** Terms of a file and the places of their bytes, of all its windows. */
export interface WholeReconstruction {
  size: number;
  terms: PlacedTerm[];
  /** Fetch ranges by xorb; they may overlap. */
  ranges: Map<string, { chunks: ChunkRange; bytes: ByteRange }[]>;
}

/**
 * Joins reconstructions of consecutive windows. A term that crosses a border is part of both windows, each time with the
 * chunks that overlap the window.
 */
export function joinWindows(
  size: number,
  windows: readonly { span: ByteRange; from: Reconstruction }[],
): WholeReconstruction {
  const terms: PlacedTerm[] = [];
  const ranges: WholeReconstruction['ranges'] = new Map();
  for (const { span, from } of windows) {
    let at = span.start - from.offsetIntoFirstTerm;
    for (const term of from.terms) {
      const last = terms.at(-1);
      const end = at + term.unpackedLength;
      if (last && at < last.at + last.unpackedLength) {
        if (last.xorb !== term.xorb || last.chunks.end < term.chunks.start) throw inconsistent();
        if (term.chunks.end > last.chunks.end) {
          last.chunks = { start: last.chunks.start, end: term.chunks.end };
          last.unpackedLength = end - last.at;
        }
      } else terms.push({ ...term, at });
      at = end;
    }
    for (const [xorb, signed] of from.xorbs) {
      const known = ranges.get(xorb) ?? [];
      known.push(...signed.flatMap((one) => one.ranges));
      ranges.set(xorb, known);
    }
  }
  const end = terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0);
  if (end !== size) throw inconsistent();
  return { size, terms, ranges };
}

/** Describes a file from its terms, the parts of it that are local (ascending, disjoint), and another file's terms. */
export function layoutOf(
  { size, terms, ranges }: WholeReconstruction,
  local: readonly ByteRange[],
  against?: readonly PlacedTerm[],
): FileLayout {
  const own = distinctChunks(terms);
  const other = against && distinctChunks(against);
  const described: TermLayout[] = [];
  let next = 0;
  for (const { at, unpackedLength, xorb, chunks } of terms) {
    const end = at + unpackedLength;
    while ((local[next]?.end ?? size) <= at) next++;
    let localBytes = 0;
    for (let index = next; (local[index]?.start ?? size) < end; index++) {
      localBytes += Math.min(end, local[index]?.end ?? end) - Math.max(at, local[index]?.start ?? end);
    }
    const sharedBytes = other && bytesOfChunks({ chunks, bytes: unpackedLength }, other.get(xorb) ?? []);
    described.push({ at, bytes: unpackedLength, xorb, chunks, localBytes, sharedBytes });
  }
  const xorbs = [...own].map(([xorb, parts]) => ({
    xorb,
    terms: described.filter((term) => term.xorb === xorb).length,
    ...totalOf(parts),
    storedBytes: unionBytes((ranges.get(xorb) ?? []).map(({ bytes }) => bytes)),
  }));
  const sum = <T>(items: readonly T[], of: (item: T) => number) => items.reduce((total, item) => total + of(item), 0);
  return {
    size,
    terms: described,
    xorbs,
    chunks: sum(described, ({ chunks }) => chunks.end - chunks.start),
    distinctBytes: sum(xorbs, ({ bytes }) => bytes),
    storedBytes: sum(xorbs, ({ storedBytes }) => storedBytes),
    localBytes: sum(described, ({ localBytes }) => localBytes),
    sharedBytes: other && sum(described, ({ sharedBytes }) => sharedBytes ?? 0),
  };
}

function totalOf(parts: readonly ChunkBytes[]): { chunks: number; bytes: number } {
  return parts.reduce(
    (total, { chunks, bytes }) => ({
      chunks: total.chunks + chunks.end - chunks.start,
      bytes: total.bytes + bytes,
    }),
    { chunks: 0, bytes: 0 },
  );
}

function unionBytes(ranges: readonly ByteRange[]): number {
  let bytes = 0;
  let reached = 0;
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    bytes += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return bytes;
}

function inconsistent(): XetError {
  return new XetError(
    'PROTOCOL',
    'The reconstructions from the CAS contradict each other. The file may be damaged on the server; try again later.',
  );
}
