import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findRange, type Reconstruction } from '../../src/cas/reconstruction.ts';
import { readReconstruction, readReconstructions } from '../support/at-once.ts';
import {
  type Layout,
  layouts,
  toBatch,
  toV1,
  toV2,
  toV2Merged,
  type WireV1,
  type WireV2,
  xorbHash,
} from '../support/cas-wire.ts';
import { holds, thrownBy } from '../support/property.ts';

/** What is right about a model, from the side of the layout. */
function expectModel(model: Reconstruction, layout: Layout): void {
  expect(model.offsetIntoFirstTerm).toBe(layout.offset);
  expect(model.terms).toEqual(
    layout.terms.map(({ xorb, chunks: [start, end], unpackedLength }) => ({
      xorb: layout.xorbs[xorb]?.hash,
      chunks: { start, end },
      unpackedLength,
    })),
  );
  for (const { hash, ranges } of layout.xorbs) {
    const signed = model.xorbs.get(hash) ?? [];
    expect(signed.flatMap(({ url, ranges: held }) => held.map((range) => ({ url, ...range })))).toEqual(
      ranges.map(({ url, chunks, bytes }) => ({
        url,
        chunks: { start: chunks[0], end: chunks[1] },
        bytes: { start: bytes[0], end: bytes[1] },
      })),
    );
  }
}

describe('readReconstruction', () => {
  test('both wire forms of one layout give the same model', () => {
    holds(200, layouts, (layout) => {
      const newer = readReconstruction(toV2(layout));
      expect(readReconstruction(toV1(layout))).toEqual(newer);
      expectModel(newer, layout);
    });
  });

  test('the newer form may serve several ranges from one address', () => {
    holds(100, layouts, (layout) => {
      const merged: Layout = {
        ...layout,
        xorbs: layout.xorbs.map((xorb, index) => ({
          ...xorb,
          ranges: xorb.ranges.map((range) => ({ ...range, url: `https://cdn.test/${index}` })),
        })),
      };
      const model = readReconstruction(toV2Merged(merged));
      expectModel(model, merged);
      for (const signed of model.xorbs.values()) expect(signed).toHaveLength(1);
    });
  });

  test('every term has the one range that holds it', () => {
    holds(100, layouts, (layout) => {
      const model = readReconstruction(toV2(layout));
      for (const term of model.terms) {
        const place = findRange(model, term);
        expect(place?.signed.xorb).toBe(term.xorb);
        expect(place?.range.chunks.start).toBeLessThanOrEqual(term.chunks.start);
        expect(place?.range.chunks.end).toBeGreaterThanOrEqual(term.chunks.end);
        expect(place?.signed.ranges).toContain(place?.range);
      }
    });
  });

  test('an empty file has neither terms nor xorbs', () => {
    const empty = { offsetIntoFirstTerm: 0, terms: [], xorbs: new Map() };
    expect(readReconstruction({ terms: [], xorbs: {} })).toEqual(empty);
    expect(readReconstruction({ terms: [], fetch_info: {}, offset_into_first_range: 0 })).toEqual(empty);
  });

  test('the greatest lengths that the format allows are read', () => {
    const layout: Layout = {
      offset: 8192 * 131_072,
      xorbs: [
        { hash: xorbHash(1), ranges: [{ chunks: [0, 8192], bytes: [0, 68 * 1024 * 1024], url: 'http://cdn.test/' }] },
      ],
      terms: [{ xorb: 0, chunks: [0, 8192], unpackedLength: 8192 * 131_072 }],
    };
    expectModel(readReconstruction(toV2(layout)), layout);
  });
});

const plain: Layout = {
  offset: 5,
  xorbs: [
    {
      hash: xorbHash(1),
      ranges: [
        { chunks: [0, 10], bytes: [0, 1000], url: 'https://cdn.test/a' },
        { chunks: [20, 30], bytes: [2000, 3000], url: 'https://cdn.test/b' },
      ],
    },
  ],
  terms: [
    { xorb: 0, chunks: [2, 8], unpackedLength: 6000 },
    { xorb: 0, chunks: [20, 30], unpackedLength: 10_000 },
  ],
};
const hash = xorbHash(1);

/** Values that are not counts. The objects come out of JSON too, and do not turn into text. */
const notCounts: unknown[] = [
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1e300,
  2 ** 53,
  '5',
  null,
  undefined,
  true,
  [],
  {},
  { toString: 1, valueOf: 1 },
];

describe('what cannot be true is PROTOCOL', () => {
  const refuses = (body: unknown) => {
    expect(thrownBy(() => readReconstruction(body))).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
  };
  const changed = <T>(make: (layout: Layout) => T, change: (body: T) => void): T => {
    const body = structuredClone(make(plain));
    change(body);
    return body;
  };
  const refusesV1 = (change: (body: WireV1) => void) => refuses(changed(toV1, change));
  const refusesV2 = (change: (body: WireV2) => void) => refuses(changed(toV2, change));
  const refusesBoth = (change: (body: WireV1 | WireV2) => void) => {
    refusesV1(change);
    refusesV2(change);
  };

  test.each(
    [null, undefined, 1, 'text', [], [1], {}, { terms: 1 }, { terms: {} }, { terms: [] }].map((body) => [body]),
  )('the body %j', (body) => refuses(body));

  test.each(['terms', 'xorbs'] as const)('no %s', (member) =>
    refusesV2((body) => Reflect.deleteProperty(body, member)),
  );
  test.each(['terms', 'fetch_info'] as const)('no %s', (member) =>
    refusesV1((body) => Reflect.deleteProperty(body, member)),
  );

  test('a term that is no object', () => {
    for (const term of [null, 1, 'text', []]) {
      refusesBoth((body) => Reflect.set(body.terms, 0, term));
    }
  });

  test.each(['hash', 'unpacked_length', 'range'])('a term without %s', (member) => {
    refusesBoth((body) => Reflect.deleteProperty(body.terms[1] ?? {}, member));
  });

  test.each([hash.toUpperCase(), hash.slice(1), `${hash}0`, '', '../../etc', 1, null])('a term of xorb %j', (value) => {
    refusesBoth((body) => Object.assign(body.terms[0] ?? {}, { hash: value }));
  });

  test.each(notCounts.map((value) => [value]))('%s for a length or a bound', (value) => {
    refusesBoth((body) => Object.assign(body.terms[0] ?? {}, { unpacked_length: value }));
    refusesBoth((body) => Object.assign(body.terms[0]?.range ?? {}, { start: value }));
    refusesBoth((body) => Object.assign(body.terms[0]?.range ?? {}, { end: value }));
    for (const bound of ['start', 'end']) {
      refusesV1((body) => Object.assign(body.fetch_info[hash]?.[0]?.range ?? {}, { [bound]: value }));
      refusesV1((body) => Object.assign(body.fetch_info[hash]?.[0]?.url_range ?? {}, { [bound]: value }));
      refusesV2((body) => Object.assign(body.xorbs[hash]?.[0]?.ranges[0]?.chunks ?? {}, { [bound]: value }));
      refusesV2((body) => Object.assign(body.xorbs[hash]?.[0]?.ranges[0]?.bytes ?? {}, { [bound]: value }));
    }
  });

  test.each(notCounts.filter((value) => value !== null && value !== undefined).map((value) => [value]))(
    'the offset %s',
    (value) => {
      refusesBoth((body) => {
        body.offset_into_first_range = value;
      });
    },
  );

  test('an offset beyond the first term', () => {
    refusesBoth((body) => {
      body.offset_into_first_range = 6001;
    });
  });

  test('an offset where there is no term', () => {
    refuses({ terms: [], xorbs: {}, offset_into_first_range: 1 });
  });

  test('more bytes than the chunks of a term can hold', () => {
    refusesBoth((body) => Object.assign(body.terms[0] ?? {}, { unpacked_length: 6 * 131_072 + 1 }));
  });

  test.each([
    ['empty', 5, 5],
    ['inverted', 6, 5],
    ['beyond the last chunk of any xorb', 0, 8193],
  ])('chunks that are %s', (_, start, end) => {
    refusesBoth((body) => Object.assign(body.terms[0]?.range ?? {}, { start, end }));
    refusesV1((body) => Object.assign(body.fetch_info[hash]?.[1]?.range ?? {}, { start, end }));
    refusesV2((body) => Object.assign(body.xorbs[hash]?.[1]?.ranges[0]?.chunks ?? {}, { start, end }));
  });

  test.each([
    ['inverted', 10, 9],
    ['beyond the last byte of any xorb', 0, 68 * 1024 * 1024],
  ])('bytes that are %s', (_, start, end) => {
    refusesV1((body) => Object.assign(body.fetch_info[hash]?.[1]?.url_range ?? {}, { start, end }));
    refusesV2((body) => Object.assign(body.xorbs[hash]?.[1]?.ranges[0]?.bytes ?? {}, { start, end }));
  });

  // By themselves, so that nothing else about them can be what is refused.
  test.each([
    ['a chunk', [0, 8193], [0, 1000]],
    ['a byte', [0, 8192], [0, 68 * 1024 * 1024 + 1]],
  ] as [string, [number, number], [number, number]][])('a range with %s too many for a xorb', (_, chunks, bytes) => {
    const layout: Layout = {
      offset: 0,
      xorbs: [{ hash, ranges: [{ chunks, bytes, url: 'https://cdn.test/' }] }],
      terms: [{ xorb: 0, chunks: [0, 1], unpackedLength: 1 }],
    };
    refuses(toV1(layout));
    refuses(toV2(layout));
  });

  test.each([
    [null],
    [1],
    [''],
    ['/relative'],
    ['cdn.test/a'],
    ['ftp://cdn.test/a'],
    ['file:///etc/passwd'],
    ['data:text/plain,x'],
    ['javascript:alert(1)'],
    ['https://'],
    ['https://['],
  ])('the address %j', (url) => {
    refusesV1((body) => Object.assign(body.fetch_info[hash]?.[0] ?? {}, { url }));
    refusesV2((body) => Object.assign(body.xorbs[hash]?.[0] ?? {}, { url }));
  });

  test('entries of a xorb that are none', () => {
    for (const entries of [null, {}, 'text', [null], [1], [[]]]) {
      refusesV1((body) => Object.assign(body.fetch_info, { [hash]: entries }));
      refusesV2((body) => Object.assign(body.xorbs, { [hash]: entries }));
    }
    for (const ranges of [null, {}, [], [null], [1]]) {
      refusesV2((body) => Object.assign(body.xorbs[hash]?.[0] ?? {}, { ranges }));
    }
  });

  test.each(['', 'text', hash.toUpperCase(), '__proto__', 'constructor'])('entries of the xorb %j', (name) => {
    const entry = (of: string) => JSON.parse(`{${JSON.stringify(of)}: []}`);
    refuses({ terms: [], xorbs: entry(name) });
    refuses({ terms: [], fetch_info: entry(name) });
  });

  test.each([
    ['in no range', 12, 14],
    ['across two ranges', 8, 22],
    ['a chunk past its range', 2, 11],
    ['a chunk before its range', 19, 25],
  ])('a term that lies %s', (_, start, end) => {
    refusesBoth((body) => Object.assign(body.terms[0]?.range ?? {}, { start, end }));
  });

  test('a term of a xorb without entries', () => {
    refusesBoth((body) => Object.assign(body.terms[0] ?? {}, { hash: xorbHash(2) }));
  });

  test.each([
    ['chunks overlap, bytes do not', [5, 15], [1000, 1500]],
    ['bytes overlap, chunks do not', [10, 20], [999, 1999]],
    ['chunks go up, bytes go down', [40, 50], [0, 100]],
  ] as [string, [number, number], [number, number]][])('ranges of which %s', (_, chunks, bytes) => {
    const odd = structuredClone(plain);
    odd.xorbs[0]?.ranges.push({ chunks, bytes, url: 'https://cdn.test/c' });
    refuses(toV1(odd));
    refuses(toV2(odd));
  });

  test('ranges that overlap with another one in between', () => {
    const odd = structuredClone(plain);
    // The third lies among the chunks of the first, and nowhere near its bytes.
    odd.xorbs[0]?.ranges.splice(
      0,
      1,
      { chunks: [0, 10], bytes: [0, 1000], url: 'https://cdn.test/a' },
      { chunks: [2, 3], bytes: [200, 300], url: 'https://cdn.test/c' },
      { chunks: [5, 8], bytes: [1500, 1800], url: 'https://cdn.test/d' },
    );
    refuses(toV2(odd));
    refuses(toV1(odd));
  });

  test('nesting without end', () => {
    const deep = JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`);
    refusesBoth((body) => Object.assign(body.terms[0]?.range ?? {}, { start: deep }));
  });

  test('a message stays short, whatever the server sent', () => {
    const body = changed(toV2, (wire) => Object.assign(wire.terms[0]?.range ?? {}, { start: 'x'.repeat(1e6) }));
    expect(String(thrownBy(() => readReconstruction(body))).length).toBeLessThan(1000);
  });

  test('no message holds an address', () => {
    const body = changed(toV2, (wire) =>
      Object.assign(wire.xorbs[hash]?.[0] ?? {}, { url: 'ftp://cdn.test/?sig=secret' }),
    );
    expect(String(thrownBy(() => readReconstruction(body)))).not.toContain('secret');
  });
});

describe('arbitrary JSON throws nothing but XetError', () => {
  const check = (body: unknown) => {
    try {
      const { terms, xorbs } = readReconstruction(body);
      expect(Array.isArray(terms)).toBe(true);
      expect(xorbs).toBeInstanceOf(Map);
    } catch (error) {
      expect(error).toMatchObject({ name: 'XetError', code: 'PROTOCOL' });
    }
  };

  test('of any shape', () => holds(500, fc.jsonValue(), check));

  test('of the right shape, with something wrong somewhere', () => {
    // A path into the body, and what to put there.
    const damage = fc.record({ path: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), value: fc.jsonValue() });
    holds(600, fc.tuple(layouts, fc.boolean(), damage), ([layout, newer, { path, value }]) => {
      const body: unknown = newer ? toV2(layout) : toV1(layout);
      let at = body;
      for (const [depth, step] of path.entries()) {
        if (typeof at !== 'object' || at === null) break;
        const keys = Object.keys(at);
        const key = keys[step % Math.max(1, keys.length)];
        if (key === undefined) break;
        const next: unknown = Reflect.get(at, key);
        if (depth === path.length - 1 || typeof next !== 'object' || next === null) {
          Reflect.set(at, key, value);
          break;
        }
        at = next;
      }
      check(body);
    });
  });
});

describe('readReconstructions', () => {
  /** Cut into files: each has some of the terms, and the ranges that those lie in. */
  const filesOf = (layout: Layout) =>
    new Map(
      layout.terms.map((_, index) => {
        const terms = layout.terms.slice(index, index + 3);
        const xorbs = layout.xorbs.map((xorb, at) => ({
          ...xorb,
          ranges: xorb.ranges.filter(({ chunks: [start, end] }) =>
            terms.some((term) => term.xorb === at && term.chunks[0] < end && start < term.chunks[1]),
          ),
        }));
        return [xorbHash(index + 500), { terms, xorbs, offset: 0 }] as const;
      }),
    );

  test('each of several files is what it is by itself', () => {
    holds(200, layouts, (layout) => {
      const files = filesOf(layout);
      const read = readReconstructions(toBatch(files));
      expect([...read.keys()]).toEqual([...files.keys()]);
      for (const [hash, file] of files) {
        const alone = readReconstruction(toV1(file));
        const found = read.get(hash);
        expect(found?.terms).toEqual(alone.terms);
        expect(found?.offsetIntoFirstTerm).toBe(0);
        for (const term of alone.terms) {
          expect(found && findRange(found, term)?.range).toEqual(findRange(alone, term)?.range);
        }
        const count = (of: Reconstruction | undefined) => [...(of?.xorbs.values() ?? [])].flat().length;
        expect(count(found)).toBe(count(alone));
      }
    });
  });

  test('a file has no wider range than it needs, where another one has that', () => {
    const range = (chunks: [number, number], bytes: [number, number]) => ({ chunks, bytes, url: 'https://cdn.test/x' });
    const file = (chunks: [number, number], bytes: [number, number]): Layout => ({
      offset: 0,
      xorbs: [{ hash: xorbHash(1), ranges: [range(chunks, bytes)] }],
      terms: [{ xorb: 0, chunks, unpackedLength: 100 * (chunks[1] - chunks[0]) }],
    });
    const files = new Map([
      [xorbHash(2), file([0, 100], [0, 9000])],
      [xorbHash(3), file([40, 41], [4000, 4090])],
    ]);
    const found = readReconstructions(toBatch(files)).get(xorbHash(3));
    expect(found?.xorbs.get(xorbHash(1))?.map(({ ranges }) => ranges)).toEqual([
      [{ chunks: { start: 40, end: 41 }, bytes: { start: 4000, end: 4090 } }],
    ]);
  });

  test.each([
    ['no files', { fetch_info: {} }],
    ['a file that is no hash', { files: { x: [] }, fetch_info: {} }],
    ['terms that are no list', { files: { [xorbHash(1)]: {} }, fetch_info: {} }],
    ['no ranges', { files: {} }],
    [
      'a term without a range',
      {
        files: { [xorbHash(1)]: [{ hash: xorbHash(2), unpacked_length: 5, range: { start: 0, end: 1 } }] },
        fetch_info: {},
      },
    ],
  ])('%s is refused', (_, body) => {
    expect(thrownBy(() => readReconstructions(body))).toMatchObject({ code: 'PROTOCOL' });
  });
});
