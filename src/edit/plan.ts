import { type ChunkRecords, chunkCount, chunkSlice, totalLength } from '../core/chunks.ts';
import { XetError } from '../core/errors.ts';
import type { ByteRange, ChunkRange } from '../core/ranges.ts';
import type { Recipe, RecipeTerm } from '../core/recipe.ts';
import { chunkWindows } from './windows.ts';

/** A part of the result that is read: a range of the original, or the content of an edit by its index. */
export type EditPiece = ({ from: 'original' } & ByteRange) | { from: 'edit'; index: number };

/** Chunks of the original that the result keeps. */
export interface KeptChunks {
  kept: { terms: RecipeTerm[]; records: ChunkRecords };
  /** Their bytes in the original. */
  range: ByteRange;
}

/** A part of the result that is chunked again. */
export interface EditWindow {
  pieces: EditPiece[];
}

export type EditPart = KeptChunks | EditWindow;

/**
 * Edits in the order of the original, each with its index in the list. Throws `INVALID_ARGUMENT` for edits that overlap
 * or lie outside the file. Several inserts at one position stay in their order.
 */
export function orderedEdits(edits: readonly ByteRange[], size: number): (ByteRange & { index: number })[] {
  let before = 0;
  const ordered = edits
    .map(({ start, end }, index) => ({ start, end, index }))
    .sort((a, b) => a.start - b.start || a.end - b.end || a.index - b.index);
  for (const { start, end } of ordered) {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < before || end < start || end > size) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `Edits must lie within the ${size} bytes of the file and must not overlap: ${String(start)}–${String(end)} does not fit.`,
      );
    }
    before = end;
  }
  return ordered;
}

/** The result of edits as pieces in order, within a range of the original. Edits at the end of the range are left to the next. */
export function piecesWithin(
  edits: ReturnType<typeof orderedEdits>,
  { start, end }: ByteRange,
  size: number,
): EditPiece[] {
  const pieces: EditPiece[] = [];
  let at = start;
  for (const edit of edits) {
    if (edit.start < start || (edit.start >= end && !(edit.start === end && end === size))) continue;
    if (edit.start > at) pieces.push({ from: 'original', start: at, end: edit.start });
    pieces.push({ from: 'edit', index: edit.index });
    at = edit.end;
  }
  if (at < end) pieces.push({ from: 'original', start: at, end });
  return pieces;
}

/**
 * Plans an edit of a file with a known recipe: only the windows around the edits are read, chunked and sent; terms
 * between them are kept, cut at chunk boundaries. The parts are in file order. Throws as {@link orderedEdits}.
 */
export function planEdit(recipe: Recipe, edits: readonly ByteRange[]): EditPart[] {
  const { size, records } = recipe;
  const ordered = orderedEdits(edits, size);
  if (size === 0) return [{ pieces: piecesWithin(ordered, { start: 0, end: 0 }, 0) }];
  // The chunk that holds the first byte after an insert changes. At the end it is the last chunk, whose cut was forced.
  const dirty = ordered.map(({ start, end }) =>
    start === size ? { start: size - 1, end: size } : { start, end: Math.max(end, start + 1) },
  );
  const parts: EditPart[] = [];
  let chunk = 0;
  let at = 0;
  const keep = (end: number, chunks: ChunkRange) => {
    if (chunks.start < chunks.end) parts.push({ kept: keptOf(recipe, chunks), range: { start: at, end } });
  };
  for (const window of chunkWindows(records, joined(dirty))) {
    keep(window.start, { start: chunk, end: window.chunks.start });
    parts.push({ pieces: piecesWithin(ordered, window, size) });
    chunk = window.chunks.end;
    at = window.end;
  }
  keep(size, { start: chunk, end: chunkCount(records) });
  return parts;
}

/** Sorted ranges as ranges that do not overlap. */
function joined(ranges: readonly ByteRange[]): ByteRange[] {
  const result: ByteRange[] = [];
  for (const { start, end } of ranges) {
    const last = result.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else result.push({ start, end });
  }
  return result;
}

/** The terms of a recipe that hold some of its chunks, cut to these. */
function keptOf({ terms, records }: Recipe, { start, end }: ChunkRange): KeptChunks['kept'] {
  const kept: RecipeTerm[] = [];
  let first = 0;
  for (const { xorb, chunks } of terms) {
    const last = first + chunks.end - chunks.start;
    const from = Math.max(first, start);
    const to = Math.min(last, end);
    if (from < to) {
      const cut = { start: chunks.start + from - first, end: chunks.start + to - first };
      kept.push({ xorb, chunks: cut, unpackedLength: totalLength(chunkSlice(records, from, to)) });
    }
    first = last;
  }
  return { terms: kept, records: chunkSlice(records, start, end) };
}
