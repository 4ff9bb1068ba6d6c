import fc from 'fast-check';
import { hashToHex } from '../../src/core/hash.ts';
import { splitMix64 } from './vectors.ts';

/** A reconstruction before it takes one of its two wire forms. Ends are excluded here. */
export interface Layout {
  offset: number;
  xorbs: { hash: string; ranges: { chunks: [number, number]; bytes: [number, number]; url: string }[] }[];
  terms: { xorb: number; chunks: [number, number]; unpackedLength: number }[];
}

export interface WireRange {
  start: unknown;
  end: unknown;
}
export interface WireTerm {
  hash: unknown;
  unpacked_length: unknown;
  range: WireRange;
}
interface Wire {
  offset_into_first_range: unknown;
  terms: WireTerm[];
}
export interface WireV1 extends Wire {
  fetch_info: Record<string, { range: WireRange; url: unknown; url_range: WireRange }[]>;
}
export interface WireV2 extends Wire {
  xorbs: Record<string, { url: unknown; ranges: { chunks: WireRange; bytes: WireRange }[] }[]>;
}

export const xorbHash = (seed: number) => hashToHex(splitMix64(seed, 32));

const wire = ([start, end]: [number, number]): WireRange => ({ start, end });
/** Physical bytes include their last one on the wire, chunks do not. */
const inclusive = ([start, end]: [number, number]): WireRange => ({ start, end: end - 1 });

function termsOf({ offset, terms, xorbs }: Layout): Wire {
  return {
    offset_into_first_range: offset,
    terms: terms.map((term) => ({
      hash: xorbs[term.xorb]?.hash,
      unpacked_length: term.unpackedLength,
      range: wire(term.chunks),
    })),
  };
}

export function toV1(layout: Layout): WireV1 {
  return {
    ...termsOf(layout),
    fetch_info: Object.fromEntries(
      layout.xorbs.map(({ hash, ranges }) => [
        hash,
        ranges.map(({ chunks, bytes, url }) => ({ range: wire(chunks), url, url_range: inclusive(bytes) })),
      ]),
    ),
  };
}

/** Several whole files in one answer: their ranges one after the other, those of the same xorb together. */
export function toBatch(files: ReadonlyMap<string, Layout>): {
  files: Record<string, WireTerm[]>;
  fetch_info: WireV1['fetch_info'];
} {
  const body: ReturnType<typeof toBatch> = { files: {}, fetch_info: {} };
  for (const [hash, layout] of files) {
    const { terms, fetch_info } = toV1(layout);
    body.files[hash] = terms;
    for (const [xorb, ranges] of Object.entries(fetch_info)) {
      body.fetch_info[xorb] = [...(body.fetch_info[xorb] ?? []), ...ranges];
    }
  }
  return body;
}

/** Each range with its own address, as the older form has it. */
export function toV2(layout: Layout): WireV2 {
  return {
    ...termsOf(layout),
    xorbs: Object.fromEntries(
      layout.xorbs.map(({ hash, ranges }) => [
        hash,
        ranges.map(({ chunks, bytes, url }) => ({ url, ranges: [{ chunks: wire(chunks), bytes: inclusive(bytes) }] })),
      ]),
    ),
  };
}

/** All ranges of a xorb from one address, as the newer form mostly has it. */
export function toV2Merged(layout: Layout): WireV2 {
  const body = toV2(layout);
  for (const [hash, entries] of Object.entries(body.xorbs)) {
    body.xorbs[hash] = [{ url: entries[0]?.url, ranges: entries.flatMap((entry) => entry.ranges) }];
  }
  return body;
}

/** Reconstructions that could be true: ranges do not overlap, each term lies in one of them. */
export const layouts: fc.Arbitrary<Layout> = fc
  .record({
    xorbs: fc.array(
      fc.array(
        fc.record({
          gap: fc.nat(3),
          chunks: fc.integer({ min: 1, max: 40 }),
          bytesPerChunk: fc.integer({ min: 9, max: 5000 }),
        }),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
      { minLength: 1, maxLength: 4 },
    ),
    terms: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 25 }),
    offset: fc.nat(),
  })
  .map(({ xorbs, terms, offset }) => {
    const built = xorbs.map((ranges, index) => {
      let chunk = 0;
      let byte = 0;
      return {
        hash: xorbHash(index + 1),
        ranges: ranges.map((range, at) => {
          chunk += range.gap;
          byte += range.gap * 1000;
          const first: [number, number] = [chunk, byte];
          chunk += range.chunks;
          byte += range.chunks * range.bytesPerChunk;
          return {
            chunks: [first[0], chunk] as [number, number],
            bytes: [first[1], byte] as [number, number],
            url: `https://cdn.test/${index}/${at}?sig=${offset}`,
          };
        }),
      };
    });
    const cut = terms.map(([xorb, range, start, length, size]) => {
      const which = xorb % built.length;
      const ranges = built[which]?.ranges ?? [];
      const [from, to] = ranges[range % ranges.length]?.chunks ?? [0, 1];
      const first = from + (start % (to - from));
      const end = first + 1 + (length % (to - first));
      return {
        xorb: which,
        chunks: [first, end] as [number, number],
        unpackedLength: 1 + (size % ((end - first) * 131_072)),
      };
    });
    return { xorbs: built, terms: cut, offset: offset % (cut[0]?.unpackedLength ?? 1) };
  });
