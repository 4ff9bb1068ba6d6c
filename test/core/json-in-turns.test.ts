import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DishonestJson, parseJson } from '../../src/core/json-in-turns.ts';

/** The result, and the number of stops. */
function parsed(text: string): { value: unknown; stops: number } {
  const steps = parseJson(text);
  for (let stops = 0; ; stops++) {
    const { done, value } = steps.next();
    if (done) return { value, stops };
  }
}

const plain = (value: unknown) => JSON.stringify(value);
const long = 'x'.repeat(90_000);

describe('JSON in turns', () => {
  test('is what JSON.parse makes of it, whatever its form', () => {
    const member = fc.tuple(
      fc.string(),
      fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue())),
    );
    fc.assert(
      fc.property(fc.array(member), fc.constantFrom(undefined, 1, '\t'), (members, space) => {
        // Long enough to be looked at, and cut within each member.
        const entries = members.map(([name, value]) => [name, [long, value, long, value]] as const);
        const text = JSON.stringify(
          { ...Object.fromEntries(entries), [`${long} `]: Object.fromEntries(members) },
          null,
          space,
        );
        expect(plain(parsed(text).value)).toBe(plain(JSON.parse(text)));
      }),
      { seed: 17, numRuns: 150 },
    );
  });

  test('stops often in a long text', () => {
    const terms = Array.from({ length: 40_000 }, (_, index) => ({
      hash: 'a'.repeat(64),
      range: { start: index, end: index + 1 },
    }));
    const xorbs = Object.fromEntries(terms.map((term, index) => [`${index}`.padStart(64, '0'), [term]]));
    const text = JSON.stringify({ offset_into_first_range: 0, terms, xorbs });
    const { value, stops } = parsed(text);
    expect(plain(value)).toBe(text);
    expect(stops).toBeGreaterThan(text.length / 128 / 1024);
  });

  test.each([
    ['a list that an object closes', `{"a":["${long}","${long}"},"b":1}`],
    ['an object that a list closes', `{"a":{"b":"${long}","c":"${long}"],"b":1}`],
    ['no comma', `{"a":["${long}","${long}"] "b":1}`],
    ['text behind it', `{"a":["${long}","${long}"]} {}`],
    ['an end too early', `{"a":["${long}","${long}"`],
    ['a string without an end', `{"a":["${long}","${long}`],
    ['no name', `{["${long}","${long}"]}`],
    ['two values', `{"a":["${long}"],["${long}"]}`],
    ['a value without quotes', `{"a":["${long}",${long}]}`],
    ['a comma too many', `{"a":["${long}","${long}",]}`],
  ])('refuses what JSON.parse refuses: %s', (_, text) => {
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
    expect(() => parsed(text)).toThrow(SyntaxError);
  });

  test('any text is taken or refused as by JSON.parse', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '1',
      ' ',
      'null',
      '\\',
      `"${'y'.repeat(70_000)}"`,
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        const text = `{"long":"${long}",${parts.join('')}}`;
        let expected: string | undefined;
        try {
          expected = plain(JSON.parse(text));
        } catch {
          expected = undefined;
        }
        if (expected === undefined) expect(() => parsed(text)).toThrow(SyntaxError);
        else expect(plain(parsed(text).value)).toBe(expected);
      }),
      { seed: 18, numRuns: 2000 },
    );
  });

  test('a name of a prototype is a name like others', () => {
    const text = `{"__proto__":["${long}","${long}"],"a":{"__proto__":{"polluted":"${long}"},"b":"${long}"}}`;
    const value = parsed(text).value as Record<string, Record<string, unknown>>;
    expect(Object.keys(value)).toEqual(['__proto__', 'a']);
    expect(Object.keys(value.a!)).toEqual(['__proto__', 'b']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('what is mostly brackets is refused', () => {
    expect(() => parsed(`{"a":[${'{},'.repeat(60_000)}1]}`)).toThrow(DishonestJson);
    expect(() => parsed(`{"a":${'['.repeat(200)}"${long}"${']'.repeat(200)}}`)).toThrow(DishonestJson);
  });
});
