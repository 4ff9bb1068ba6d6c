import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseLinks } from '../../src/hub/links.ts';
import { holds } from '../support/property.ts';

test.each([
  [null, {}],
  ['', {}],
  ['<https://a.test/>; rel="next"', { next: 'https://a.test/' }],
  ['<https://a.test/>; rel=next', { next: 'https://a.test/' }],
  ['<https://a.test/>;rel="next"', { next: 'https://a.test/' }],
  ['<https://a.test/> ; REL = "next" ; title="x"', { next: 'https://a.test/' }],
  ['<https://a.test/>; title="x"; rel="next"', { next: 'https://a.test/' }],
  ['<https://a.test/?a=1,2;b>; rel="next"', { next: 'https://a.test/?a=1,2;b' }],
  ['<one>; rel="a", <two>; rel="b"', { a: 'one', b: 'two' }],
  ['<one>; rel="a b"', { a: 'one', b: 'one' }],
  ['<one>; rel="a", <two>; rel="a"', { a: 'one' }],
  ['<one>', {}],
  ['<one>; title="rel"', {}],
  ['one; rel="a"', {}],
  // As the Hub answers for a file in a CAS.
  [
    '<https://hub.test/api/models/o/n/xet-read-token/abc>; rel="xet-auth", <https://cas.test/v1/reconstructions/f>; rel="xet-reconstruction-info"',
    {
      'xet-auth': 'https://hub.test/api/models/o/n/xet-read-token/abc',
      'xet-reconstruction-info': 'https://cas.test/v1/reconstructions/f',
    },
  ],
] as [string | null, Record<string, string>][])('%j', (header, expected) => {
  expect(parseLinks(header)).toEqual(expected);
});

test('what is written is read', () => {
  const target = fc.webUrl({ withQueryParameters: true }).filter((url) => !/[<>]/.test(url));
  const relation = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
  holds(200, fc.uniqueArray(fc.tuple(relation, target), { selector: ([name]) => name, maxLength: 5 }), (links) => {
    const header = links.map(([name, url]) => `<${url}>; rel="${name}"`).join(', ');
    expect(Object.entries(parseLinks(header))).toEqual(links.map(([name, url]) => [name, url]));
  });
});

test('any text is read without a complaint', () => {
  const marks = fc.string({ unit: fc.constantFrom('<', '>', ';', ',', '"', '=', ' ', 'rel', '__proto__', 'a') });
  holds(500, marks, (header) => {
    for (const target of Object.values(parseLinks(header))) expect(header).toContain(`<${target}>`);
  });
});
