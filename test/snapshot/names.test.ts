import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { checkNames, judgeNames, type NamePlatform, printable } from '../../src/snapshot/names.ts';
import { holds } from '../support/property.ts';

const platforms = ['windows', 'darwin', 'other'] as const;

/** Where a single name cannot be used. */
const refusedOn = (path: string) => checkNames([path]).unusable.flatMap(({ on }) => [...on]);

describe('checkNames', () => {
  test.each([
    ['..'],
    ['../a'],
    ['a/../b'],
    ['a/..'],
    ['.'],
    ['a/./b'],
    ['/etc/passwd'],
    ['//host/share'],
    [''],
    ['a//b'],
    ['a/'],
    ['a\\b'],
    ['..\\a'],
    ['\\\\host\\share'],
    ['C:'],
    ['C:\\a'],
    ['c:a'],
    ['a/D:b'],
    ['1:b'],
    ['a\0b'],
    ['a/\ud800'],
    ['.git'],
    ['.git/hooks/post-checkout'],
    ['a/.git/config'],
    ['.GIT/config'],
    ['.git./config'],
    ['.git /config'],
    ['git~1/config'],
    ['.g\u200cit/config'],
    ['a'.repeat(256)],
  ])('refuses %j everywhere', (path) => {
    expect(refusedOn(path).sort()).toEqual([...platforms].sort());
    for (const platform of platforms) {
      const { leftOut, warnings } = judgeNames([path, 'ok'], { platform, into: 'cache', repo: 'owner/model' });
      expect([...leftOut.keys()]).toEqual([path]);
      expect(warnings).toEqual([expect.stringMatching(/owner\/model.*ignorePatterns/)]);
    }
  });

  test.each([
    ['CON'],
    ['con'],
    ['aux.json'],
    ['a/Nul.tar.gz'],
    ['PRN .txt'],
    ['com1'],
    ['COM9.bin'],
    ['lpt¹'],
    ['LPT³.txt'],
    ['CONIN$'],
    ['conout$.x'],
    ['dir./a'],
    ['a '],
    ['what?.txt'],
    ['time 12:30.txt'],
    ['a|b'],
    ['"a"'],
    ['<a>'],
    ['a*'],
    ['bell\u0007'],
    ['line\nbreak'],
  ])('refuses %j on Windows only', (path) => {
    expect(refusedOn(path)).toEqual(['windows']);
  });

  test.each([
    ['README.md'],
    ['.gitattributes'],
    ['.gitignore'],
    ['git/config'],
    ['.github/workflows/ci.yml'],
    ['console.log'],
    ['com10'],
    ['com0'],
    ['lpt'],
    ['auxiliary'],
    ['a.con'],
    ['..a'],
    ['a..b'],
    ['...a/b'],
    ['café ü #1 %20.bin'],
    ['🙂.png'],
    ['.cache/huggingface/x'],
    ['a'.repeat(255)],
    [`${'a'.repeat(200)}/${'b'.repeat(200)}`],
  ])('takes %j', (path) => {
    expect(checkNames([path])).toEqual({ unusable: [], colliding: [] });
  });

  test('Linux counts bytes of a name, others characters', () => {
    expect(refusedOn('ü'.repeat(128))).toEqual(['other']);
    expect(refusedOn('ü'.repeat(127))).toEqual([]);
    expect(refusedOn(`a/${'🙂'.repeat(64)}`)).toEqual(['other']);
    expect(refusedOn('🙂'.repeat(128)).length).toBe(3);
  });

  test('a file that is a folder as well can be nowhere', () => {
    expect(checkNames(['a/b', 'a/b/c', 'a']).unusable).toEqual([
      { path: 'a/b', reason: expect.stringContaining('folder'), on: platforms },
      { path: 'a', reason: expect.stringContaining('folder'), on: platforms },
    ]);
  });

  test.each<
    [what: string, paths: string[], colliding: string[][], folders: boolean | undefined, on: readonly NamePlatform[]]
  >([
    ['case', ['README.md', 'readme.md', 'a'], [['README.md', 'readme.md']], false, ['windows', 'darwin']],
    ['case beyond ASCII', ['Ü.txt', 'ü.txt'], [['Ü.txt', 'ü.txt']], false, ['windows', 'darwin']],
    ['Unicode form', ['caf\u00e9', 'cafe\u0301'], [['cafe\u0301', 'caf\u00e9']], false, ['darwin']],
    ['letters that are two in capitals', ['straße', 'STRASSE'], [['STRASSE', 'straße']], false, ['darwin']],
    ['folders', ['Data/a', 'data/b'], [['Data', 'data']], true, ['windows', 'darwin']],
    ['a file and a folder', ['A', 'a/b'], [['A', 'a']], false, ['windows', 'darwin']],
    [
      'files in such folders',
      ['D/x', 'd/X'],
      [
        ['D', 'd'],
        ['D/x', 'd/X'],
      ],
      undefined,
      ['windows', 'darwin'],
    ],
    [
      'three of them',
      ['a', 'A', 'b', 'B', 'c'],
      [
        ['A', 'a'],
        ['B', 'b'],
      ],
      false,
      ['windows', 'darwin'],
    ],
  ])('finds names that differ only by %s', (_, paths, colliding, folders, on) => {
    const found = checkNames(paths).colliding;
    expect(found.map((one) => one.paths).sort()).toEqual(colliding.sort());
    for (const one of found) {
      expect(one.on).toEqual(on);
      if (folders !== undefined) expect(one.folders).toBe(folders);
    }
  });

  test('the same path twice is one file', () => {
    expect(checkNames(['a', 'a'])).toEqual({ unusable: [], colliding: [] });
  });

  test('never throws, and gives every path at most one reason', () => {
    const word = fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.constantFrom('..', '.git', 'a', 'A', 'CON'));
    const path = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('/'));
    holds(500, fc.array(path, { maxLength: 8 }), (paths) => {
      const { unusable } = checkNames(paths);
      expect(new Set(unusable.map((one) => one.path)).size).toBe(unusable.length);
      for (const one of unusable) expect(one.on.length).toBeGreaterThan(0);
    });
  });

  test('of a large repository no name is compared with each other one, but made comparable once', () => {
    const paths = Array.from({ length: 50_000 }, (_, index) => `data/part-${index % 100}/file-${index}.parquet`);
    const normalize = vi.spyOn(String.prototype, 'normalize');
    const localeCompare = vi.spyOn(String.prototype, 'localeCompare');
    onTestFinished(() => void vi.restoreAllMocks());
    expect(checkNames(paths)).toEqual({ unusable: [], colliding: [] });
    // Twice for each: case folding may undo the first time. The 101 folders are names as well.
    expect(normalize).toHaveBeenCalledTimes(2 * (paths.length + 101));
    expect(localeCompare).not.toHaveBeenCalled();
  });
});

describe('judgeNames', () => {
  const judge = (paths: string[], platform: NamePlatform, into: 'cache' | 'folder' = 'cache') =>
    judgeNames(paths, { platform, into, repo: 'owner/model' });

  test('what a system cannot have is left out there, with a warning that says what to do', () => {
    const { leftOut, warnings } = judge(['aux.json', 'bb:c', 'x ', 'y.', 'ok'], 'windows');
    expect([...leftOut.keys()]).toEqual(['aux.json', 'bb:c', 'x ', 'y.']);
    expect(warnings).toEqual([
      expect.stringMatching(/^4 files .*'aux\.json' \('aux\.json' is a device on Windows\).*and 1 more.*--exclude/),
    ]);
    expect(warnings[0]).not.toContain("'ok'");
  });

  test('elsewhere it is a remark, where the folder is one that may be copied', () => {
    expect(judge(['aux.json'], 'other')).toEqual({ warnings: [], notes: new Set(), leftOut: new Map() });
    expect(judge(['aux.json'], 'other', 'folder').warnings).toEqual([expect.stringContaining("'aux.json'")]);
  });

  test('of files that would be one the first is taken where they would, with a warning there and elsewhere', () => {
    const paths = ['README.md', 'readme.md'];
    for (const platform of ['windows', 'darwin'] as const) {
      for (const [kept, other] of [paths, paths.toReversed()]) {
        const { leftOut, warnings } = judge([kept ?? '', other ?? ''], platform);
        expect([...leftOut]).toEqual([[other, `it is the same name as '${kept}' on this system`]]);
        expect(warnings).toEqual([expect.stringContaining(`'${other}' (it is the same name as '${kept}'`)]);
      }
    }
    const there = judge(paths, 'other');
    expect(there.leftOut.size).toBe(0);
    expect(there.warnings).toEqual([expect.stringMatching(/'README\.md' and 'readme\.md'.*Windows and macOS/)]);
  });

  test('Windows keeps both forms of a name, macOS does not', () => {
    const paths = ['caf\u00e9', 'cafe\u0301'];
    expect(judge(paths, 'windows').leftOut.size).toBe(0);
    expect(judge(paths, 'windows').warnings).toHaveLength(1);
    expect([...judge(paths, 'darwin').leftOut.keys()]).toEqual(['cafe\u0301']);
  });

  test('folders that become one lose nothing', () => {
    for (const platform of platforms) {
      const verdict = judge(['Data/a', 'data/b'], platform);
      expect(verdict.leftOut.size).toBe(0);
      expect(verdict.warnings).toHaveLength(1);
    }
  });

  test('a folder goes before a file of the same name, as it holds more', () => {
    const { leftOut } = judge(['Data', 'data/a', 'data/b', 'DATA'], 'windows');
    expect([...leftOut.keys()].sort()).toEqual(['DATA', 'Data']);
  });

  test('notes of clients about a folder are left out of a folder, and of no cache', () => {
    const paths = ['.cache/huggingface/download/a.metadata', '.Cache/HuggingFace/x', '.cache/other', 'a'];
    const { notes, warnings, leftOut } = judge(paths, 'other', 'folder');
    expect([...notes]).toEqual(paths.slice(0, 2));
    expect(warnings[0]).toMatch(/Left out of owner\/model: '\.cache\/huggingface/);
    expect(leftOut.size).toBe(0);
    expect(judge(['.cache/huggingface'], 'other', 'folder').notes.size).toBe(1);
    expect(judge(['.cache'], 'other', 'folder').notes.size).toBe(1);
    expect(judge(paths, 'other', 'cache').notes.size).toBe(0);
  });

  test('many warnings are few', () => {
    const paths = Array.from({ length: 50 }, (_, index) => [`a${index}`, `A${index}`]).flat();
    expect(judge(paths, 'other').warnings).toHaveLength(6);
  });

  test('messages steer no terminal', () => {
    const { warnings } = judge(['\u001b[2Jx\ny'], 'windows');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).not.toMatch(/\p{Cc}/u);
    expect(printable('a'.repeat(1000)).length).toBeLessThan(130);
  });
});
