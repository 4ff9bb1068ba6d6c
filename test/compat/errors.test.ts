import * as original from '@huggingface/hub';
import { expect, test } from 'vitest';
import { compatError, HubApiError, InvalidApiResponseFormatError } from '../../src/compat/errors.ts';
import { isOwnFault } from '../../src/compat/original.ts';
import { XetError, type XetErrorCode } from '../../src/core/errors.ts';

const refused = new XetError('GATED', 'Refused.', {
  status: 403,
  url: 'https://user:pass@hub/a?signature=1',
  requestId: 'r1',
  serverMessage: 'Ask for access.',
});

test('an answer is a HubApiError with the fields of the original', () => {
  const error = compatError(refused) as HubApiError;
  expect(error).toBeInstanceOf(HubApiError);
  expect(error).toMatchObject({
    name: 'HubApiError',
    statusCode: 403,
    url: 'https://hub/a',
    requestId: 'r1',
    data: { error: 'Ask for access.' },
    cause: refused,
    message: 'Ask for access. URL: https://hub/a. Request ID: r1',
  });
});

test('errors of the original are HubApiErrors too, and others are none', () => {
  expect(new original.HubApiError('https://hub/a', 404)).toBeInstanceOf(HubApiError);
  for (const other of [new Error('a'), { statusCode: 1, url: 'a' }, undefined]) {
    expect(other).not.toBeInstanceOf(HubApiError);
  }
});

test.each<[XetErrorCode, object, unknown]>([
  ['INVALID_ARGUMENT', {}, TypeError],
  ['PROTOCOL', {}, InvalidApiResponseFormatError],
  ['NETWORK', {}, TypeError],
  ['NETWORK', { cause: new TypeError('fetch failed') }, TypeError],
  ['NETWORK', { cause: new RangeError('of the fetch that was given') }, RangeError],
  ['INTEGRITY', {}, XetError],
  ['DISK_FULL', {}, XetError],
  ['PROTOCOL', { status: 400 }, HubApiError],
])('%s %o', (code, details, kind) => {
  expect(compatError(new XetError(code, 'text', details))).toBeInstanceOf(kind);
});

test('what is no error of xetkit is left as it is', () => {
  for (const error of [new Error('a'), 'text', undefined]) expect(compatError(error)).toBe(error);
});

const of = (code: XetErrorCode, status?: number) => new XetError(code, 'text', { status });
test.each([
  [of('CODEC_CRASHED'), true],
  [of('UNSUPPORTED'), true],
  [of('PROTOCOL'), true],
  [new TypeError('undefined is not a function'), true],
  [of('PROTOCOL', 400), false],
  [of('INTEGRITY'), false],
  [of('ENTRY_NOT_FOUND', 404), false],
  [of('UNAUTHORIZED', 401), false],
  [of('NETWORK'), false],
  [of('STALLED'), false],
  [of('DISK_FULL'), false],
  [of('INVALID_ARGUMENT'), false],
  [of('OFFLINE'), false],
  [new HubApiError('https://hub/a', 500), false],
  [new DOMException('aborted', 'AbortError'), false],
  [Object.assign(new Error('disk'), { code: 'EACCES' }), false],
  ['text', false],
])('%s: of our own making is %s', (error, own) => expect(isOwnFault(error)).toBe(own));

test('nothing is our fault once a call was aborted', () => {
  expect(isOwnFault(of('CODEC_CRASHED'), AbortSignal.abort())).toBe(false);
});
