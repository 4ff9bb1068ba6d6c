import type { LocalHubOptions, RequestKind } from 'xetkit/local-hub';
import { randomBytes, text } from '../support/samples.ts';
import type { BodyFacts } from './catalogue.ts';

export const REPO = 'owner/model';

/** Small enough to be quick, in several xorbs so that several jobs run. */
export const LARGE = randomBytes(700_000, 11);
export const SMALL = text(400, 12);
/** Longer than what comes along with facts about a file. */
const LONGER = text(66_000, 13);
export const FILES: Record<string, Uint8Array> = {
  'weights.bin': LARGE,
  'config.json': SMALL,
  'tokenizer.json': LONGER,
};
export const CHUNKS_PER_XORB = 4;

/** One kind of request, in a call that makes it. */
export interface Scenario {
  name: string;
  kind: RequestKind;
  /** Requests of the kind that pass before the one that is meant. */
  after?: number;
  call: 'download' | 'list';
  path: string;
  hub: 'whole' | 'without CAS';
  /** The Hub's own headers do not get through, as behind a redirect to another host. */
  blind?: boolean;
  /** Whether the call can go on over plain HTTP when this kind fails. */
  fallsBack?: boolean;
  /** Hit every time, it would fail later, in a request that another scenario is about. */
  onceOnly?: boolean;
  body: BodyFacts;
}

export const HUBS: Record<Scenario['hub'], LocalHubOptions> = {
  whole: {},
  'without CAS': { reconstructionVersions: [] },
};

const MIB = 1024 * 1024;
const json: BodyFacts = { midBytes: 60, stuckBytes: 20, corruptOffset: 0, limitBytes: 64 * 1024, bytesPerSecond: 4000 };
const longJson: BodyFacts = { ...json, limitBytes: 256 * MIB };
const content: BodyFacts = {
  midBytes: 150,
  stuckBytes: 0,
  corruptOffset: 30,
  limitBytes: 100_000,
  bytesPerSecond: 4000,
};

const large = { call: 'download', path: 'weights.bin', hub: 'whole' } as const;
const small = { call: 'download', path: 'config.json', hub: 'whole' } as const;
const longer = { call: 'download', path: 'tokenizer.json', hub: 'whole' } as const;

export const SCENARIOS = [
  { name: 'resolve', kind: 'resolve', ...large, body: json },
  { name: 'token', kind: 'token', ...large, fallsBack: true, body: json },
  { name: 'reconstruction', kind: 'reconstruction', ...large, fallsBack: true, body: longJson },
  {
    name: 'xorb',
    kind: 'xorb',
    ...large,
    fallsBack: true,
    body: { midBytes: 200_000, stuckBytes: 40, corruptOffset: 5000, limitBytes: 100_000, bytesPerSecond: 1_000_000 },
  },
  {
    name: 'bridge',
    kind: 'bridge',
    ...large,
    hub: 'without CAS',
    body: { midBytes: 300_000, stuckBytes: 0, corruptOffset: 5000, limitBytes: 100_000, bytesPerSecond: 1_000_000 },
  },
  { name: 'resolve of a git file', kind: 'resolve', ...small, body: { ...content, midBytes: 20 } },
  {
    name: 'resolve-cache, asking for facts',
    kind: 'resolve-cache',
    ...small,
    onceOnly: true,
    body: { ...content, midBytes: 0 },
  },
  { name: 'resolve-cache, content', kind: 'resolve-cache', after: 1, ...longer, body: content },
  { name: 'revision', kind: 'revision', ...small, blind: true, body: longJson },
  { name: 'paths-info', kind: 'paths-info', ...small, blind: true, body: longJson },
  { name: 'tree', kind: 'tree', ...large, call: 'list', body: longJson },
] as const satisfies Scenario[];

export type ScenarioName = (typeof SCENARIOS)[number]['name'];
