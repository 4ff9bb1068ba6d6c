import { checked } from '../core/arguments.ts';
import { checkChoice, invalid } from './check-arguments.ts';

/** Kind of a request, for fault rules and request counts. */
export type RequestKind =
  | 'resolve'
  | 'resolve-cache'
  | 'bridge'
  | 'tree'
  | 'revision'
  | 'paths-info'
  | 'refs'
  | 'commits'
  | 'token'
  | 'preupload'
  | 'commit'
  | 'batch'
  | 'repo'
  | 'lfs'
  | 'reconstruction'
  | 'xorb'
  | 'chunk-query'
  | 'xorb-upload'
  | 'shard-upload'
  | 'grant'
  | 'telemetry'
  | 'other';

/** Fault to inject. Offsets and lengths are bytes of the response body. */
export type FaultAction =
  /** The connection closes before there is an answer. */
  | { action: 'refuse' }
  /** The connection is reset after some of the body. */
  | { action: 'reset'; afterBytes: number }
  /** Nothing more comes, for `ms` milliseconds or until the connection closes. */
  | { action: 'stall'; afterBytes: number; ms?: number }
  | { action: 'trickle'; bytesPerSecond: number }
  /** Another answer in place of the right one. */
  | { action: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** `Content-Length` tells the truth about the whole, but the connection ends early. */
  | { action: 'truncate'; afterBytes: number }
  /** A shorter body with a `Content-Length` that fits it. */
  | { action: 'shorten'; toBytes: number }
  /** 206 for a range that lies `shiftBytes` (default 1) further on than the one asked for. */
  | { action: 'wrongRange'; shiftBytes?: number }
  /** 200 and everything, for a request with a range. */
  | { action: 'fullInsteadOfPartial' }
  /** Byte `offset` of the body is XORed with `mask` (default 255). */
  | { action: 'corrupt'; offset: number; mask?: number }
  | { action: 'garbageJson' }
  /** `bytes` of white space before the right JSON. */
  | { action: 'oversizeJson'; bytes: number }
  /** A part of a multipart answer is left out. */
  | { action: 'dropPart'; part?: number }
  /** The parts of a multipart answer come in reverse. */
  | { action: 'reorderParts' }
  /** The answer starts later. */
  | { action: 'delay'; ms: number };

/** Requests that are met, and the fault that meets them. */
export type FaultRule = FaultAction & {
  kind: RequestKind | 'any';
  /** Number of requests it applies to. Default: 1. */
  times?: number;
  /** Number of matching requests that pass before the first fault. Default: 0. */
  after?: number;
  /** Paths that it applies to, without the query. Default: all. */
  match?: (path: string) => boolean;
};

/** A rule that is in force. */
export interface FaultHandle {
  /** Requests hit so far. */
  readonly hits: number;
  /** Takes the rule away. */
  remove(): void;
}

interface ArmedRule {
  rule: FaultRule;
  seen: number;
  hits: number;
}

/** Fields of each action. One with `?` may be missing. */
const ACTIONS: Record<FaultAction['action'], string> = {
  refuse: '',
  reset: 'afterBytes:n',
  stall: 'afterBytes:n ms?:n',
  trickle: 'bytesPerSecond:n',
  status: 'status:c headers?:o body?:s',
  truncate: 'afterBytes:n',
  shorten: 'toBytes:n',
  wrongRange: 'shiftBytes?:a',
  fullInsteadOfPartial: '',
  corrupt: 'offset:n mask?:n',
  garbageJson: '',
  oversizeJson: 'bytes:n',
  dropPart: 'part?:n',
  reorderParts: '',
  delay: 'ms:n',
};

const KINDS: Record<RequestKind | 'any', true> = {
  any: true,
  resolve: true,
  'resolve-cache': true,
  bridge: true,
  tree: true,
  revision: true,
  'paths-info': true,
  refs: true,
  commits: true,
  token: true,
  preupload: true,
  commit: true,
  batch: true,
  repo: true,
  lfs: true,
  reconstruction: true,
  xorb: true,
  'chunk-query': true,
  'xorb-upload': true,
  'shard-upload': true,
  grant: true,
  telemetry: true,
  other: true,
};

function checkRule(given: FaultRule): FaultRule {
  const { action, kind } = checked('faults.add', { action: given?.action, kind: given?.kind }, 'action:a kind:a');
  checkChoice("faults.add: 'action'", action ?? null, Object.keys(ACTIONS));
  checkChoice("faults.add: 'kind'", kind ?? null, Object.keys(KINDS));
  const fields = ACTIONS[action].split(' ').filter((field) => field !== '');
  const rule = checked(
    'faults.add',
    given,
    `${['action:a kind:a times:n after:n match:f', ...fields].join(' ').replaceAll('?', '')}`,
  );
  const missing = fields
    .map((field) => field.split(':')[0] ?? '')
    .find((name) => !name.endsWith('?') && !(name in rule));
  if (missing !== undefined) throw invalid(`faults.add: the action '${action}' needs '${missing}'.`);
  return rule;
}

/** Injected faults. At most one rule applies to a request: the first that matches. */
export class FaultPlan {
  /** Waited before every answer, in milliseconds. */
  latencyMs = 0;
  /** Body bytes that one connection receives per second; 0 means unlimited. */
  bytesPerSecond = 0;
  #rules: ArmedRule[] = [];

  /** Puts a rule in force, after those that are. */
  add(given: FaultRule): FaultHandle {
    const armed: ArmedRule = { rule: checkRule(given), seen: 0, hits: 0 };
    this.#rules.push(armed);
    return {
      get hits() {
        return armed.hits;
      },
      remove: () => {
        this.#rules = this.#rules.filter((other) => other !== armed);
      },
    };
  }

  /** Removes all rules and shaping. */
  clear(): void {
    this.#rules = [];
    this.latencyMs = 0;
    this.bytesPerSecond = 0;
  }

  /** The fault for this request, which counts as a hit. */
  take(kind: RequestKind, path: string): FaultAction | undefined {
    for (const armed of this.#rules) {
      const { rule } = armed;
      if (rule.kind !== 'any' && rule.kind !== kind) continue;
      if (rule.match && !rule.match(path)) continue;
      armed.seen++;
      if (armed.seen <= (rule.after ?? 0) || armed.hits >= (rule.times ?? 1)) continue;
      armed.hits++;
      return rule;
    }
    return undefined;
  }
}
