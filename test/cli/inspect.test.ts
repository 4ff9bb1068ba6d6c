import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlacedTerm, Reconstruction, SignedXorb } from '../../src/cas/reconstruction.ts';
import { joinWindows, layoutOf } from '../../src/cli/inspect/layout.ts';
import { pageOf } from '../../src/cli/inspect/page.ts';
import { hubFor, scratch, seen } from '../support/hub.ts';
import { randomBytes, text } from '../support/samples.ts';

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

async function xetkit(args: string[], endpoint: string, home: string) {
  const env = { PATH: process.env.PATH, HOME: home, HF_HOME: join(home, 'hf'), NO_COLOR: '1', HF_ENDPOINT: endpoint };
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [command, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

const rowsOf = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('xetkit inspect', () => {
  const base = randomBytes(3_000_000, 7);
  const variant = Uint8Array.from(base);
  variant.set(text(40_000, 8), 1_500_000);

  async function hubWithVariant() {
    const hub = await hubFor();
    await hub.commitFiles('owner/model', { 'base.bin': base, 'small.txt': text(40, 1) });
    await hub.commitFiles('owner/model', { 'dir/variant.bin': variant });
    return hub;
  }

  test('reports terms, xorbs and compression without fetching content', async () => {
    const hub = await hubWithVariant();
    const home = await scratch();
    const { code, stdout } = await xetkit(['inspect', 'owner/model', 'base.bin', '--json'], hub.url, home);
    expect(code).toBe(0);
    const rows = rowsOf(stdout);
    const summary = rows.at(-1);
    expect(summary).toMatchObject({ summary: true, repo: 'owner/model', path: 'base.bin', size: base.length });
    expect(summary).toMatchObject({ distinctBytes: base.length, localBytes: 0 });
    expect(summary?.storedBytes).toBeGreaterThan(base.length);
    const terms = rows.filter((row) => 'at' in row);
    expect(terms.length).toBe(summary?.terms);
    expect(terms.reduce((sum, { bytes }) => sum + Number(bytes), 0)).toBe(base.length);
    expect(seen(hub, 'xorb')).toEqual([]);
  });

  test('shows how much is local after a download, and how much two files share', async () => {
    const hub = await hubWithVariant();
    const home = await scratch();
    expect((await xetkit(['download', 'owner/model', 'base.bin', '--quiet'], hub.url, home)).code).toBe(0);
    const own = await xetkit(['inspect', 'owner/model', 'base.bin', '--json'], hub.url, home);
    expect(rowsOf(own.stdout).at(-1)).toMatchObject({ localBytes: base.length });

    const args = ['inspect', 'owner/model', 'dir/variant.bin', '--against', 'base.bin', '--json'];
    const summary = rowsOf((await xetkit(args, hub.url, home)).stdout).at(-1);
    const { sharedBytes, localBytes } = summary as { sharedBytes: number; localBytes: number };
    // The edit touches a few chunks in the middle.
    expect(sharedBytes).toBeGreaterThan(base.length * 0.8);
    expect(sharedBytes).toBeLessThan(base.length);
    expect(localBytes).toBeGreaterThan(base.length * 0.8);
  });

  test('writes a page that needs nothing else', async () => {
    const hub = await hubWithVariant();
    const home = await scratch();
    const html = join(home, 'map.html');
    const { code, stderr } = await xetkit(['inspect', 'owner/model', 'base.bin', '--html', html], hub.url, home);
    expect(code).toBe(0);
    expect(stderr).toContain(html);
    const page = await readFile(html, 'utf8');
    expect(page).toContain('<svg class="map"');
    expect(page).not.toMatch(/<script|src=|href=|url\(/);
  });

  test('explains what has no structure, and what is missing', async () => {
    const hub = await hubWithVariant();
    const home = await scratch();
    const small = await xetkit(['inspect', 'owner/model', 'small.txt'], hub.url, home);
    expect(small.code).toBe(1);
    expect(small.stderr).toContain('is not stored over Xet');
    const unnamed = await xetkit(['inspect', 'owner/model'], hub.url, home);
    expect(unnamed.code).toBe(2);
    expect(unnamed.stderr).toContain('FILE is missing');
    const other = await xetkit(['inspect', 'owner/model', 'base.bin', '--against', 'hf://owner/model'], hub.url, home);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('names no file');
  });
});

const xorbs = ['a', 'b', 'c'].map((letter) => letter.repeat(64));
/** A file of random terms, whose chunks all have 10 bytes, stored as 5. */
const files = fc
  .array(fc.record({ xorb: fc.constantFrom(...xorbs), start: fc.nat(50), count: fc.integer({ min: 1, max: 20 }) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map((terms) => {
    let at = 0;
    return terms.map(({ xorb, start, count }): PlacedTerm => {
      const term = { xorb, chunks: { start, end: start + count }, unpackedLength: count * 10, at };
      at += count * 10;
      return term;
    });
  });

/** What a CAS answers for a range: the terms that it meets, cut to the chunks that overlap it. */
function windowOf(terms: readonly PlacedTerm[], span: { start: number; end: number }): Reconstruction {
  const met = terms.flatMap((term) => {
    const from = Math.max(0, Math.floor((span.start - term.at) / 10));
    const to = Math.min(term.chunks.end - term.chunks.start, Math.ceil((span.end - term.at) / 10));
    if (to <= from) return [];
    const chunks = { start: term.chunks.start + from, end: term.chunks.start + to };
    return [{ at: term.at + from * 10, xorb: term.xorb, chunks, unpackedLength: (to - from) * 10 }];
  });
  const signed = xorbs.map((xorb): [string, SignedXorb[]] => {
    const ranges = met
      .filter((term) => term.xorb === xorb)
      .map(({ chunks }) => ({ chunks, bytes: { start: chunks.start * 5, end: chunks.end * 5 } }));
    return [xorb, [{ xorb, url: 'http://127.0.0.1/', ranges }]];
  });
  return { offsetIntoFirstTerm: span.start - (met[0]?.at ?? 0), terms: met, xorbs: new Map(signed) };
}

describe('the layout of a file', () => {
  test('is the same whatever windows its reconstruction came in', () => {
    fc.assert(
      fc.property(files, fc.integer({ min: 7, max: 400 }), (terms, windowBytes) => {
        const size = terms.reduce((sum, { unpackedLength }) => sum + unpackedLength, 0);
        const windows = [];
        for (let start = 0; start < size; start += windowBytes) {
          const span = { start, end: Math.min(size, start + windowBytes) };
          windows.push({ span, from: windowOf(terms, span) });
        }
        const layout = layoutOf(joinWindows(size, windows), [{ start: 0, end: size }], terms);
        const distinct = new Set(
          terms.flatMap(({ xorb, chunks }) =>
            Array.from({ length: chunks.end - chunks.start }, (_, index) => `${xorb} ${chunks.start + index}`),
          ),
        );
        expect(layout.chunks * 10).toBe(size);
        expect(layout.distinctBytes).toBe(distinct.size * 10);
        expect(layout.storedBytes).toBe(distinct.size * 5);
        expect(layout.localBytes).toBe(size);
        expect(layout.sharedBytes).toBe(size);
      }),
      { seed: 11, numRuns: 300 },
    );
  });

  test('counts local bytes by the term they belong to', () => {
    const terms: PlacedTerm[] = [
      { at: 0, xorb: 'a'.repeat(64), chunks: { start: 0, end: 2 }, unpackedLength: 20 },
      { at: 20, xorb: 'b'.repeat(64), chunks: { start: 0, end: 1 }, unpackedLength: 10 },
    ];
    const local = [
      { start: 5, end: 10 },
      { start: 15, end: 24 },
    ];
    const layout = layoutOf({ size: 30, terms, ranges: new Map() }, local);
    expect(layout.terms.map(({ localBytes }) => localBytes)).toEqual([10, 4]);
    expect(layout.sharedBytes).toBeUndefined();
  });

  test('is refused when windows contradict each other', () => {
    const terms = [{ xorb: 'a'.repeat(64), chunks: { start: 0, end: 2 }, unpackedLength: 20 }];
    const from = { offsetIntoFirstTerm: 0, terms, xorbs: new Map() };
    expect(() => joinWindows(30, [{ span: { start: 0, end: 30 }, from }])).toThrow(/contradict/);
  });

  test('of an empty file is empty', () => {
    expect(layoutOf(joinWindows(0, []), [])).toMatchObject({ terms: [], xorbs: [], storedBytes: 0 });
  });
});

test('names in a page are shown as text', () => {
  const layout = layoutOf(joinWindows(0, []), []);
  const page = pageOf({ title: '<img src=x onerror=alert(1)>', facts: [['<b>', '"&']], layout, against: undefined });
  expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;');
  expect(page).toContain('<dt>&lt;b&gt;</dt><dd>&quot;&amp;</dd>');
});
