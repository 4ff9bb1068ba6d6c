import { expect, test } from 'vitest';
import { hindrances } from '../../scripts/release.mjs';
import { checkThirdParty } from '../../scripts/third-party.mjs';

const good = {
  version: '1.2.3',
  shownVersion: '1.2.3',
  changelog: '# Changelog\n\n## 1.2.3 – 2026-11-26\n\n- Something.\n\n## 1.2.2\n\n- Else.\n',
  gitStatus: '',
  tags: ['v1.2.2'],
};

test('what can be released', () => expect(hindrances(good)).toEqual([]));

test.each([
  ['a version that is none', { version: '1.2', shownVersion: '1.2' }, 2],
  ['a command that says another version', { shownVersion: '1.2.2' }, 1],
  ['changes', { gitStatus: ' M src/a.ts' }, 1],
  ['a version that is out', { tags: ['v1.2.3'] }, 1],
  ['changes without a version', { changelog: '# Changelog\n\n## Unreleased\n\n- Something.\n' }, 1],
  ['a version without changes', { changelog: '# Changelog\n\n## 1.2.3\n\n## 1.2.2\n\n- Else.\n' }, 1],
  ['no changelog', { changelog: '' }, 1],
])('%s cannot', (_, change, count) => expect(hindrances({ ...good, ...change })).toHaveLength(count));

test('THIRD_PARTY.md is about what the package contains: node scripts/third-party.mjs', async () => {
  expect(await checkThirdParty()).toEqual([]);
});
