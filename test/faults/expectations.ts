import type { XetErrorCode } from 'xetkit';
import type { FaultName } from './catalogue.ts';
import type { ScenarioName } from './scenarios.ts';

/**
 * What must come of a run. `ok`: the right content, over Xet where it began there. `http`: the right content
 * over plain HTTP, checked by sha256, with one warning. Otherwise the code of the error. Where several are
 * listed, the fault can be read in more than one way, and each of them is true.
 */
export type Verdict = 'ok' | 'http' | XetErrorCode;

export interface Cell {
  /** The fault hits one request; the client has its defaults. */
  once: Verdict | Verdict[];
  /** The fault hits every request of the kind, and nothing else may be tried (`fallback: 'never'`). */
  always: Verdict | Verdict[];
  why: string;
}

/** A JSON answer of the Hub: the ground on which the tables of the other kinds stand. */
const HUB_JSON: Record<FaultName, Cell> = {
  'connection refused': { once: 'ok', always: 'NETWORK', why: 'there was no answer at all' },
  'no answer': { once: 'ok', always: 'TIMEOUT', why: 'no head of an answer within timeouts.connectMs' },
  'reset mid-body': { once: 'ok', always: 'NETWORK', why: 'the connection broke' },
  'stall mid-body': { once: 'ok', always: 'STALLED', why: 'no byte of the body within timeouts.stallMs' },
  'slow trickle': { once: 'ok', always: 'ok', why: 'slow is not broken: bytes keep coming' },
  '401': {
    once: 'UNAUTHORIZED',
    always: 'UNAUTHORIZED',
    why: 'the Hub says that the token is bad; asking again is no cure',
  },
  '403 expired': { once: 'FORBIDDEN', always: 'FORBIDDEN', why: 'a plain no of the Hub' },
  '404': {
    once: 'ENTRY_NOT_FOUND',
    always: 'ENTRY_NOT_FOUND',
    why: 'a plain no of the Hub, that names no repository or revision',
  },
  '408': { once: 'ok', always: 'TIMEOUT', why: 'the server itself gave up waiting' },
  '416': { once: 'PROTOCOL', always: 'PROTOCOL', why: 'no range was asked for, so the answer makes no sense' },
  '429 with Retry-After': { once: 'ok', always: 'RATE_LIMITED', why: 'waited for, then too many' },
  '429 without Retry-After': { once: 'ok', always: 'RATE_LIMITED', why: 'waited for, then too many' },
  '500': { once: 'ok', always: 'SERVER', why: 'the server failed' },
  '502': { once: 'ok', always: 'SERVER', why: 'the server failed' },
  '503': { once: 'ok', always: 'SERVER', why: 'the server failed' },
  '504': { once: 'ok', always: 'SERVER', why: 'the server failed' },
  'truncated body': { once: 'ok', always: 'NETWORK', why: 'Content-Length says that there was more' },
  'wrong range': { once: 'ok', always: 'ok', why: 'the answer is no range; nothing is changed' },
  '200 instead of 206': { once: 'ok', always: 'ok', why: 'the answer is a 200 anyway' },
  'corrupt byte': { once: 'ok', always: 'PROTOCOL', why: 'the first byte is no longer the one of an object or a list' },
  'wrong length': { once: 'ok', always: 'PROTOCOL', why: 'half of a JSON text, complete as far as HTTP can tell' },
  'garbage JSON': { once: 'ok', always: 'PROTOCOL', why: 'not JSON' },
  'oversize JSON': {
    once: 'PROTOCOL',
    always: 'PROTOCOL',
    why: 'longer than any honest answer: refused before it is held, and not requested again',
  },
  'missing part': { once: 'ok', always: 'ok', why: 'the answer has no parts' },
  'reordered parts': { once: 'ok', always: 'ok', why: 'the answer has no parts' },
};

/** Content of a file by range over plain HTTP, checked against its entity tag. */
const PLAIN_CONTENT: Partial<Record<FaultName, Cell>> = {
  '403 expired': { once: 'ok', always: 'FORBIDDEN', why: 'an address that may have run out is asked for anew, once' },
  'wrong range': { once: 'ok', always: 'PROTOCOL', why: 'Content-Range names other bytes than were asked for' },
  '200 instead of 206': { once: 'ok', always: 'ok', why: 'all of it, for a range that begins at the start, will do' },
  'corrupt byte': { once: 'ok', always: 'INTEGRITY', why: 'only the hash of the content can tell; fetched anew once' },
  'wrong length': { once: 'ok', always: ['NETWORK', 'PROTOCOL'], why: 'less than Content-Range announces' },
  'garbage JSON': {
    once: 'ok',
    always: ['NETWORK', 'PROTOCOL', 'INTEGRITY'],
    why: 'other bytes, and not as many as Content-Range announces',
  },
  'oversize JSON': {
    once: 'ok',
    always: ['PROTOCOL', 'INTEGRITY'],
    why: 'white space before the content, and more bytes than announced',
  },
};

/** Answers of which only the head is looked at. */
const HEAD_ONLY: Partial<Record<FaultName, Cell>> = Object.fromEntries(
  (
    [
      'reset mid-body',
      'stall mid-body',
      'truncated body',
      'corrupt byte',
      'wrong length',
      'garbage JSON',
      'oversize JSON',
      'wrong range',
      '200 instead of 206',
    ] as const
  ).map((name): [FaultName, Cell] => [name, { once: 'ok', always: 'ok', why: 'only the head of this answer counts' }]),
);

const OVERRIDES: Partial<Record<ScenarioName, Partial<Record<FaultName, Cell>>>> = {
  resolve: {
    '416': {
      once: 'ok',
      always: 'ok',
      why: 'a probe of one byte does not fit an empty file; the entry itself is asked for',
    },
  },
  token: {
    '401': {
      once: ['http', 'UNAUTHORIZED'],
      always: 'UNAUTHORIZED',
      why: 'plain HTTP asks for the same Hub token, so trying it gets around nothing',
    },
    '403 expired': { once: 'http', always: 'FORBIDDEN', why: 'no Xet for us here; plain HTTP may still do' },
    '404': { once: 'http', always: 'ENTRY_NOT_FOUND', why: 'a Hub without Xet tokens, such as a mirror' },
    '416': { once: 'http', always: 'PROTOCOL', why: 'an answer that makes no sense' },
    'oversize JSON': { once: 'http', always: 'PROTOCOL', why: 'not requested again; plain HTTP may still serve' },
  },
  reconstruction: {
    '401': { once: 'ok', always: 'UNAUTHORIZED', why: 'the CAS token may have run out: a new one, once' },
    '403 expired': { once: ['ok', 'http'], always: 'FORBIDDEN', why: 'the CAS will not; plain HTTP may' },
    '404': {
      once: ['ok', 'http'],
      always: 'ENTRY_NOT_FOUND',
      why: 'an unknown call or an unknown file; the older call tells',
    },
    '416': {
      once: ['ok', 'http'],
      always: ['ENTRY_NOT_FOUND', 'PROTOCOL'],
      why: 'the file is not there or shorter than the Hub said',
    },
    'oversize JSON': { once: 'http', always: 'PROTOCOL', why: 'not requested again; plain HTTP may still serve' },
  },
  xorb: {
    '401': {
      once: ['ok', 'http'],
      always: ['UNAUTHORIZED', 'FORBIDDEN'],
      why: 'a signed address that is not accepted',
    },
    '403 expired': {
      once: 'ok',
      always: 'FORBIDDEN',
      why: 'a new address, once for all jobs; if that is refused too, it is final',
    },
    '404': { once: ['ok', 'http'], always: 'ENTRY_NOT_FOUND', why: 'the xorb is gone' },
    '416': { once: ['ok', 'http'], always: 'PROTOCOL', why: 'the xorb is shorter than the CAS says' },
    'wrong range': { once: 'ok', always: 'PROTOCOL', why: 'Content-Range names other bytes than were asked for' },
    '200 instead of 206': { once: 'ok', always: 'PROTOCOL', why: 'all of the xorb is not what was asked for' },
    'corrupt byte': { once: 'ok', always: 'INTEGRITY', why: 'a chunk does not have its hash, also when fetched again' },
    'wrong length': { once: 'ok', always: ['NETWORK', 'PROTOCOL'], why: 'less than Content-Range announces' },
    'garbage JSON': {
      once: 'ok',
      always: ['INTEGRITY', 'PROTOCOL', 'NETWORK'],
      why: 'no frames, and not as many bytes as announced',
    },
    'oversize JSON': {
      once: 'ok',
      always: ['INTEGRITY', 'PROTOCOL'],
      why: 'white space in place of frames, and more bytes than announced',
    },
  },
  bridge: {
    ...PLAIN_CONTENT,
    '401': {
      once: ['http', 'UNAUTHORIZED'],
      always: ['UNAUTHORIZED', 'FORBIDDEN'],
      why: 'a signed address that is not accepted',
    },
    '403 expired': { once: 'http', always: 'FORBIDDEN', why: 'the address ran out: the Hub gives a new one' },
    '404': { once: ['http', 'ENTRY_NOT_FOUND'], always: 'ENTRY_NOT_FOUND', why: 'the content is gone' },
    '416': { once: ['http', 'PROTOCOL'], always: 'PROTOCOL', why: 'the content is shorter than the Hub says' },
  },
  'resolve of a git file': {
    ...HEAD_ONLY,
    'truncated body': {
      once: 'ok',
      always: ['ok', 'NETWORK'],
      why: 'a redirect is followed while the connection is being closed: who is first decides',
    },
    'reset mid-body': {
      once: 'ok',
      always: ['ok', 'NETWORK'],
      why: 'a redirect is followed while the connection is being closed: who is first decides',
    },
    '416': { once: 'ok', always: 'PROTOCOL', why: 'facts can be had elsewhere, the content cannot' },
  },
  // Hit once only; hit always, it is the content that fails.
  'resolve-cache, asking for facts': {
    ...HEAD_ONLY,
    '416': { once: 'ok', always: 'ok', why: 'facts can be had elsewhere' },
  },
  'resolve-cache, content': {
    ...PLAIN_CONTENT,
    '200 instead of 206': { once: 'ok', always: 'PROTOCOL', why: 'it goes on behind the beginning, which is here' },
    '416': { once: ['ok', 'PROTOCOL'], always: 'PROTOCOL', why: 'the content is shorter than the Hub says' },
  },
};

/** Persistent faults of a Xet call that plain HTTP must not step around. */
const NOT_WITHOUT_XET: Partial<Record<ScenarioName | 'any', Partial<Record<FaultName, Verdict[]>>>> = {
  any: {
    // A server that asks for patience gets it, not the same load at its other door.
    '429 with Retry-After': ['RATE_LIMITED'],
    '429 without Retry-After': ['RATE_LIMITED'],
  },
  xorb: {
    // Corrupt data is told; where HTTP has it right, the sha256 proves that.
    'corrupt byte': ['INTEGRITY', 'http'],
    'garbage JSON': ['INTEGRITY', 'http'],
    'oversize JSON': ['INTEGRITY', 'http'],
  },
};

export function expectation(scenario: ScenarioName, fault: FaultName): Cell {
  return OVERRIDES[scenario]?.[fault] ?? HUB_JSON[fault];
}

/** What a fault that never goes away comes to when the client may fall back to plain HTTP. */
export function withFallback(scenario: ScenarioName, fault: FaultName): Verdict[] {
  const { always } = expectation(scenario, fault);
  if (always === 'ok') return ['ok'];
  return NOT_WITHOUT_XET[scenario]?.[fault] ?? NOT_WITHOUT_XET.any?.[fault] ?? ['http'];
}
