import { expect, test } from 'vitest';
import { parseLocation } from '../../src/hub/repo.ts';
import { native } from './tools.ts';

const HUB = 'http://127.0.0.1:8088/hub';

interface Parsed {
  type: string;
  id: string;
  revision: string | null;
  path: string;
}

/** What Python's client makes of each address; null where it refuses it. */
const python = (uris: string[]) => native<(Parsed | null)[]>('parse_uris', { uris, endpoint: HUB });

function ours(uri: string): Parsed | null {
  try {
    const found = parseLocation(uri, HUB);
    if (!found) return null;
    const { repo, revision = null, path = '' } = found;
    return { type: repo.type, id: repo.name, revision, path: path.replace(/\/$/, '') };
  } catch {
    return null;
  }
}

const REVISIONS = [
  'main',
  'v1.0',
  'feat/a#1',
  'feature',
  'a b',
  'refs/pr/12',
  'refs/convert/parquet',
  'ünï',
  'a&b',
  'a+b',
  '100%',
];
const PATHS = [
  '',
  'a.txt',
  'dir/a.txt',
  '100%.txt',
  '100%25.txt',
  'a b/#?.txt',
  'a@b',
  'é/🙂',
  'refs/pr/1',
  'main/blob/x',
];
const encode = (path: string) => path.split('/').map(encodeURIComponent).join('/');

test('addresses mean what they mean to huggingface_hub', async () => {
  const uris: string[] = [];
  for (const prefix of ['', 'datasets/', 'spaces/']) {
    for (const revision of REVISIONS) {
      const special = revision.startsWith('refs/');
      for (const path of PATHS) {
        const below = path === '' ? '' : `/${path}`;
        const inUri = special ? revision : encodeURIComponent(revision);
        uris.push(`hf://${prefix}owner/name@${inUri}${below}`, `hf://${prefix}owner/name${below}`);
        for (const base of [HUB, 'https://huggingface.co', 'http://huggingface.co', 'https://hf.co', 'hf.co']) {
          for (const verb of ['blob', 'resolve', 'tree', 'raw', 'blame']) {
            const inPage = [encodeURIComponent(revision), ...(special ? [revision] : [])];
            for (const one of inPage)
              uris.push(`${base}/${prefix}owner/name/${verb}/${one}${path && `/${encode(path)}`}`);
          }
        }
      }
    }
  }
  uris.push(
    `${HUB}/owner/name/resolve/main/a.txt?download=true`,
    `${HUB}/owner/name/blob/main/a.txt#L3`,
    `${HUB}/owner/name/`,
  );
  const expected = await python(uris);
  expect(expected.filter((found) => found !== null).length).toBeGreaterThan(5000);
  const compared = uris.map((uri, at) => ({ uri, python: expected[at] }));
  const differing = compared.filter(({ uri, python }) => JSON.stringify(python) !== JSON.stringify(ours(uri)));
  expect(differing.slice(0, 10).map((one) => ({ ...one, ours: ours(one.uri) }))).toEqual([]);
});

test('a revision in a page is decoded once, where huggingface_hub decodes it twice', async () => {
  const [uri, page] = ['hf://owner/name@a%2520b/x', `${HUB}/owner/name/blob/a%2520b/x`] as const;
  expect([ours(uri), ours(page)].map((found) => found?.revision)).toEqual(['a%20b', 'a%20b']);
  expect((await python([uri, page])).map((found) => found?.revision)).toEqual(['a%20b', 'a b']);
});

test('what is no address of a repository is none for either client', async () => {
  const uris = [
    'hf://',
    'hf://owner',
    'hf://owner/name@',
    'hf://owner/na me',
    `${HUB}`,
    `${HUB}/owner/na%20me`,
    'https://example.com/owner/name',
    'https://huggingface.co.evil.test/owner/name',
  ];
  expect(await python(uris)).toEqual(uris.map(() => null));
  expect(uris.map(ours)).toEqual(uris.map(() => null));
});
