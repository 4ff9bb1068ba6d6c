import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_RECORD_BYTES, chunkCount, chunkLength, totalLength } from '../../src/core/chunks.ts';
import { decodeEntries, encodeEntry, type JournalEntry, withoutOverlaps } from '../../src/files/journal.ts';
import { holds } from '../support/property.ts';
import { splitMix64 } from '../support/vectors.ts';

const MAX_CHUNK_BYTES = 128 * 1024;
const ENTRY_BYTES = 16;

/** Records of chunks of these lengths, with hashes that are nobody's. */
function recordsOf(lengths: readonly number[], seed = 1): Uint8Array {
  const records = splitMix64(seed, lengths.length * CHUNK_RECORD_BYTES);
  const view = new DataView(records.buffer, records.byteOffset);
  for (const [index, length] of lengths.entries()) view.setUint32(index * CHUNK_RECORD_BYTES + 32, length, true);
  return records;
}

const FILE_BYTES = 2 ** 45;
const place = fc.oneof(fc.nat(5_000_000), fc.integer({ min: 2 ** 32 - 5, max: 2 ** 44 }));

/** Entries as they are written: with all chunks of their bytes, or with none. */
const entry: fc.Arbitrary<JournalEntry> = fc.oneof(
  fc
    .tuple(place, fc.array(fc.integer({ min: 1, max: MAX_CHUNK_BYTES }), { minLength: 1, maxLength: 6 }), fc.nat(1e9))
    .map(([start, lengths, seed]) => {
      const chunks = recordsOf(lengths, seed + 1);
      return { start, end: start + totalLength(chunks), chunks };
    }),
  fc
    .tuple(place, fc.oneof(fc.integer({ min: 1, max: 3_000_000 }), fc.integer({ min: 1, max: 0xffff_ffff })))
    .map(([start, bytes]) => ({ start, end: start + bytes, chunks: new Uint8Array() })),
);
const entries = fc.array(entry, { maxLength: 8 });

const encoded = ({ start, end, chunks }: JournalEntry) => encodeEntry(start, end - start, chunks);
const journalOf = (list: readonly JournalEntry[]) => Buffer.concat(list.map(encoded));

/** Comparable, and without views of something larger. */
const plain = (list: readonly JournalEntry[]) =>
  list.map(({ start, end, chunks }) => `${start}–${end} ${Buffer.from(chunks).toString('hex')}`);

/** What holds of every entry that was decoded, whatever it was decoded from. */
function expectSane(list: readonly JournalEntry[], fileBytes: number): void {
  for (const { start, end, chunks } of list) {
    expect(start).toBeGreaterThanOrEqual(0);
    expect(start).toBeLessThan(end);
    expect(end).toBeLessThanOrEqual(fileBytes);
    expect(Number.isSafeInteger(start)).toBe(true);
    expect(chunks.length % CHUNK_RECORD_BYTES).toBe(0);
    if (chunks.length > 0) expect(totalLength(chunks)).toBe(end - start);
    for (let index = 0; index < chunkCount(chunks); index++) {
      expect(chunkLength(chunks, index)).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
    }
  }
}

describe('the entries of a journal', () => {
  test('are read as they were written, wherever the bytes lie', () => {
    holds(300, fc.tuple(entries, fc.nat(20)), ([list, before]) => {
      const journal = journalOf(list);
      const shifted = Buffer.concat([Buffer.alloc(before, 0xff), journal]).subarray(before);
      expect(plain(decodeEntries(shifted, FILE_BYTES))).toEqual(plain(list));
      expect(plain(decodeEntries(new Uint8Array(journal), FILE_BYTES))).toEqual(plain(list));
    });
  });

  test('are read up to where a journal was cut', () => {
    holds(300, fc.tuple(entries, fc.nat()), ([list, cut]) => {
      const journal = journalOf(list);
      const length = cut % (journal.length + 1);
      const ends = list.map((_, index) => journalOf(list.slice(0, index + 1)).length);
      const whole = ends.filter((end) => end <= length).length;
      expect(plain(decodeEntries(journal.subarray(0, length), FILE_BYTES))).toEqual(plain(list.slice(0, whole)));
    });
  });

  test('are read up to a gap, which a lost block of a disk leaves', () => {
    holds(200, fc.tuple(entries, fc.nat(), fc.integer({ min: 1, max: 100 })), ([list, which, length]) => {
      const at = which % (list.length + 1);
      const journal = Buffer.concat([journalOf(list.slice(0, at)), Buffer.alloc(length), journalOf(list.slice(at))]);
      const found = plain(decodeEntries(journal, FILE_BYTES));
      expect(found.slice(0, at)).toEqual(plain(list.slice(0, at)));
      expectSane(decodeEntries(journal, FILE_BYTES), FILE_BYTES);
    });
  });

  test('that come before a damaged byte are those that were written', () => {
    holds(500, fc.tuple(entries, fc.nat(), fc.integer({ min: 1, max: 255 })), ([list, where, mask]) => {
      const journal = journalOf(list);
      if (journal.length === 0) return;
      const at = where % journal.length;
      journal[at] = (journal[at] ?? 0) ^ mask;
      const found = decodeEntries(journal, FILE_BYTES);
      expectSane(found, FILE_BYTES);
      const intact = list.filter((_, index) => journalOf(list.slice(0, index + 1)).length <= at).length;
      expect(plain(found.slice(0, intact))).toEqual(plain(list.slice(0, intact)));
    });
  });

  test('lie within the file', () => {
    holds(300, fc.tuple(entries, fc.oneof(fc.nat(5_000_000), fc.nat(2 ** 31))), ([list, fileBytes]) => {
      const found = decodeEntries(journalOf(list), fileBytes);
      expectSane(found, fileBytes);
      const first = list.findIndex(({ end }) => end > fileBytes);
      expect(plain(found)).toEqual(plain(first < 0 ? list : list.slice(0, first)));
    });
  });

  test('of any bytes at all make sense, or there are none', () => {
    const bytes = fc.uint8Array({ maxLength: 2000 });
    // Mostly zeros, so that numbers are small and more than the first of them is believed.
    const thin = fc.array(fc.tuple(fc.nat(500), fc.nat(255)), { maxLength: 40 }).map((changes) => {
      const journal = new Uint8Array(600);
      for (const [at, value] of changes) journal[at] = value;
      return journal;
    });
    holds(2000, fc.tuple(fc.oneof(bytes, thin), fc.oneof(fc.nat(1000), fc.constant(FILE_BYTES))), ([journal, size]) => {
      expectSane(decodeEntries(journal, size), size);
    });
  });

  test('are not believed to have more chunks than there are bytes for', () => {
    for (const chunks of [1, 2 ** 16, 2 ** 31, 2 ** 32 - 1]) {
      const journal = encodeEntry(0, 100, new Uint8Array());
      new DataView(journal.buffer).setUint32(12, chunks, true);
      expect(decodeEntries(journal, FILE_BYTES)).toEqual([]);
    }
  });

  test('have no offset that a number cannot hold', () => {
    for (const start of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const journal = encodeEntry(0, 100, new Uint8Array());
      new DataView(journal.buffer).setBigUint64(0, start, true);
      expect(decodeEntries(journal, Number.MAX_SAFE_INTEGER)).toEqual([]);
    }
  });

  test('have no chunk that no chunker cuts, and no run that is too long to be hashed in one piece', () => {
    const long = recordsOf([MAX_CHUNK_BYTES + 1]);
    expect(decodeEntries(encodeEntry(0, MAX_CHUNK_BYTES + 1, long), FILE_BYTES)).toEqual([]);
    const longest = recordsOf(Array.from({ length: 512 }, () => MAX_CHUNK_BYTES));
    expect(decodeEntries(encodeEntry(0, 64 * 1024 * 1024, longest), FILE_BYTES)).toHaveLength(1);
    const tooMany = recordsOf(Array.from({ length: 513 }, () => MAX_CHUNK_BYTES));
    expect(decodeEntries(encodeEntry(0, 513 * MAX_CHUNK_BYTES, tooMany), FILE_BYTES)).toEqual([]);
  });

  test('are encoded in 16 bytes and their records', () => {
    holds(100, entry, (one) => {
      expect(encoded(one)).toHaveLength(ENTRY_BYTES + one.chunks.length);
    });
  });
});

describe('entries that overlap', () => {
  const NONE = new Uint8Array();
  const crowded = fc
    .array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 12 })), { maxLength: 12 })
    .map((list) => list.map(([start, length]): JournalEntry => ({ start, end: start + length, chunks: NONE })));
  const overlap = (a: JournalEntry, b: JournalEntry) => a.start < b.end && b.start < a.end;

  test('are left out until none do; those that are left are in file order', () => {
    holds(2000, crowded, (list) => {
      const before = plain(list);
      const kept = withoutOverlaps(list);
      for (const [at, one] of kept.entries()) {
        expect(list).toContain(one);
        expect(one.start).toBeGreaterThanOrEqual(kept[at - 1]?.end ?? 0);
      }
      expect(plain(list)).toEqual(before);
    });
  });

  test('are left out for a newer one only, so that the newest stays', () => {
    holds(2000, crowded, (list) => {
      const kept = new Set(withoutOverlaps(list));
      for (const [age, one] of list.entries()) {
        const newer = list.filter((other, index) => index > age && overlap(one, other));
        if (newer.length === 0) expect(kept.has(one)).toBe(true);
        if (kept.has(one)) expect(newer.some((other) => kept.has(other))).toBe(false);
      }
    });
  });

  test('are as they were if they do not', () => {
    holds(300, fc.tuple(entries, fc.nat(1e9)), ([list, seed]) => {
      let end = 0;
      const apart = list.map((one) => {
        const start = end;
        end = start + one.end - one.start;
        return { start, end, chunks: one.chunks };
      });
      const numbers = splitMix64(seed, apart.length * 8);
      const mixed = [...apart].sort((a, b) => (numbers[apart.indexOf(a)] ?? 0) - (numbers[apart.indexOf(b)] ?? 0));
      expect(withoutOverlaps(mixed)).toEqual(apart);
    });
  });

  test('of equal place are the last one', () => {
    const twice = [1, 2, 3].map((seed): JournalEntry => ({ start: 5, end: 9, chunks: recordsOf([4], seed) }));
    expect(withoutOverlaps(twice)).toEqual([twice[2]]);
  });

  test('are few words for many', () => {
    const many = Array.from({ length: 50_000 }, (_, index): JournalEntry => {
      const start = (index * 7919) % 49_999;
      return { start, end: start + 1 + (index % 3), chunks: NONE };
    });
    const kept = withoutOverlaps(many);
    for (const [at, { start }] of kept.entries()) expect(start).toBeGreaterThanOrEqual(kept[at - 1]?.end ?? 0);
  });
});
