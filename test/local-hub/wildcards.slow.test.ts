import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UploadRules } from '../../src/local-hub/hub/upload-mode.ts';
import { fits, MatchBudget, readWildcards } from '../../src/local-hub/hub/wildcards.ts';
import { call, noise, post, TOKEN, testHub } from './helpers.ts';

const matches = (pattern: string, text: string) => fits(readWildcards(pattern) ?? [], text, new MatchBudget());

describe('wildcards', () => {
  test.each([
    ['*.bin', 'a.bin', true],
    ['*.bin', 'd/a.bin', false],
    ['**.bin', 'd/a.bin', true],
    ['**/a', 'a', true],
    ['**/a', 'b/c/a', true],
    ['**/a', 'b/ca', false],
    ['d/**', 'd/e/f', true],
    ['d/**/f', 'd/f', true],
    ['d/**/f', 'd/x/y/f', true],
    ['/a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['[z-a]x', 'bx', false],
    ['[]]', ']', true],
    ['[a', '[a', true],
    ['[!a]', '/', false],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a.c', 'abc', false],
    ['', '', true],
    ['*', '', true],
    ['(a+)+$', '(a+)+$', true],
  ])('%s and %s: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  test('give what the same pattern gives as a regular expression', () => {
    const part = fc.constantFrom('a', 'b', '/', '*', '**', '**/', '?', '[ab]', '[!a]');
    const expression = (parts: string[]) =>
      parts
        .map((one) => {
          if (one === '*') return '[^/]*';
          if (one === '**') return '.*';
          if (one === '**/') return '(?:.*/)?';
          if (one === '?') return '[^/]';
          return one === '[!a]' ? '[^a/]' : one;
        })
        .join('');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 7 }), fc.stringMatching(/^[ab/]{0,10}$/), (parts, text) => {
        const pattern = parts.join('');
        // Read in another way: a slash in front only says that the pattern goes by the whole path.
        fc.pre(!pattern.startsWith('/'));
        const reread = pattern.match(/\*\*\/|\*\*|\[!?[ab]+\]|./g) ?? [];
        expect(matches(pattern, text)).toBe(new RegExp(`^${expression(reread)}$`).test(text));
      }),
      { seed: 7, numRuns: 3000 },
    );
  });

  test('the last line that applies counts', () => {
    const rules = new UploadRules('*.bin filter=lfs -text\nkept/*.bin -filter\n', '*.log\n!keep.log\nbuild/\n/top\n');
    expect(['a.bin', 'd/a.bin', 'kept/a.bin', 'a.txt'].map((path) => rules.isLarge(path, 1, new Uint8Array()))).toEqual(
      [true, true, false, false],
    );
    expect(
      ['x.log', 'd/x.log', 'keep.log', 'build', 'build/x', 'd/build/x', 'top', 'd/top'].map((path) =>
        rules.isIgnored(path),
      ),
    ).toEqual([true, true, false, false, true, true, true, false]);
  });
});

describe('patterns that clients send', () => {
  const ask = (hub: { url: string }, rules: object, path: string) =>
    post(
      hub as never,
      '/api/models/me/model/preupload/main',
      {
        files: [
          { path, size: 3, sample: 'AAAA' },
          { path, size: 3, sample: 'YWJj' },
        ],
        ...rules,
      },
      TOKEN,
    );

  test('cannot make the server work for long', async () => {
    const hub = await testHub();
    await hub.commitFiles('me/model', { a: '1' });
    const long = 'a'.repeat(4000);
    for (const pattern of [
      `${'*a'.repeat(15)}b`,
      `${'**/a'.repeat(200)}b`,
      `${'**a*'.repeat(200)}b`,
      `${'[a-z]*'.repeat(100)}!`,
      '[z-a]',
      '[',
      '\\',
      '*'.repeat(1024),
      '*'.repeat(100_000),
      `${'('.repeat(500)}${'a*'.repeat(200)}`,
    ]) {
      const rules = { gitAttributes: `${pattern} filter=lfs\n`, gitIgnore: `${pattern}\n` };
      const answer = await ask(hub, rules, long);
      expect([200, 400], `${pattern.slice(0, 40)} ${await answer.text()}`).toContain(answer.status);
    }
  });

  test('are refused as a whole where they are too many', async () => {
    const hub = await testHub();
    await hub.commitFiles('me/model', { a: '1' });
    const answer = await ask(hub, { gitIgnore: `${'*a'.repeat(300)}cb\n`.repeat(5000) }, `${'a'.repeat(4000)}b`);
    expect([answer.status, await answer.json()]).toEqual([400, { error: expect.stringMatching(/takes too long/) }]);
    expect((await call(hub, '/api/models/me/model')).status).toBe(200);
  });

  test('that a repository holds are bounded as well', async () => {
    const hub = await testHub();
    await hub.commitFiles(
      'me/model',
      { '.gitattributes': `${'*a'.repeat(300)}cb filter=lfs\n`.repeat(300) },
      { xet: 'never' },
    );
    expect((await ask(hub, {}, `${'a'.repeat(4000)}b`)).status).toBe(400);
    expect((await ask(hub, {}, 'README.md')).status).toBe(200);
    await hub.commitFiles('me/model', { 'w.bin': noise(1, 100) });
  });
});
