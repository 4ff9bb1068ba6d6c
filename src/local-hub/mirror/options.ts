import { invalid } from '../check-arguments.ts';

/** Options of a mirror: of a local Hub with an upstream. */
export interface MirrorOptions {
  /** Address of the Hub to mirror, such as `https://huggingface.co`. */
  upstream?: string;
  /** Bytes of xorbs to keep at most; the least recently used are evicted. Default: no limit. */
  maxSize?: number;
  /** True to never contact the upstream. Default false. */
  offline?: boolean;
  /** Changes are refused, or handed to the upstream. Default `refuse`. */
  uploads?: 'refuse' | 'proxy';
  /** Time for which branches and listings hold without asking the upstream, in seconds. Default 30. */
  nameSeconds?: number;
  /** Time after which the upstream is asked anew whether a token may see a commit or a file, in seconds. Default 300. */
  accessSeconds?: number;
  /** Ranges that are fetched from the upstream at a time. Default 64. */
  maxFetches?: number;
  /** The mirror's own token at the upstream, for the holders of `tokens`. Default: none, so that they see what is public. */
  upstreamToken?: string;
}

/** Lifetimes of answers, in milliseconds. */
export interface Lifetimes {
  /** Names: branches, listings. */
  nameMs: number;
  /** Permission to see what lies under a commit. */
  accessMs: number;
}

/** Settings of a mirror. */
export interface MirrorSettings {
  upstream: string;
  maxBytes: number;
  offline: boolean;
  uploads: 'refuse' | 'proxy';
  lifetimes: Lifetimes;
  maxFetches: number;
  /** Tokens that let clients in; `undefined` lets everybody in with the token that the upstream knows. */
  ownTokens: ReadonlySet<string> | undefined;
  upstreamToken: string | undefined;
}

/** Reads the options of a mirror; `undefined` without an upstream. */
export function mirrorSettings(
  options: MirrorOptions & { tokens?: Record<string, unknown> },
): MirrorSettings | undefined {
  const { upstream, uploads = 'refuse' } = options;
  if (upstream === undefined) {
    const stray = (
      ['maxSize', 'offline', 'uploads', 'nameSeconds', 'accessSeconds', 'maxFetches', 'upstreamToken'] as const
    ).find((name) => options[name] !== undefined);
    if (stray !== undefined) throw invalid(`startLocalHub: '${stray}' is for mirrors. Add 'upstream'.`);
    return undefined;
  }
  if (options.upstreamToken !== undefined && !options.tokens) {
    throw invalid("startLocalHub: 'upstreamToken' lends the mirror's access to its clients. Say which, with 'tokens'.");
  }
  return {
    upstream: parseUpstream(upstream),
    maxBytes: positive('maxSize', options.maxSize) ?? Number.POSITIVE_INFINITY,
    offline: options.offline ?? false,
    uploads,
    lifetimes: {
      nameMs: (positive('nameSeconds', options.nameSeconds) ?? 30) * 1000,
      accessMs: (positive('accessSeconds', options.accessSeconds) ?? 300) * 1000,
    },
    maxFetches: Math.max(1, positive('maxFetches', options.maxFetches) ?? 64),
    ownTokens: options.tokens && new Set(Object.keys(options.tokens)),
    upstreamToken: options.upstreamToken,
  };
}

function positive(name: string, value: number | undefined): number | undefined {
  if (value === undefined || value >= 0) return value;
  throw invalid(`startLocalHub: '${name}' must be a number from 0 on, not ${value}.`);
}

function parseUpstream(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === '') {
    return url.href.replace(/\/+$/, '');
  }
  throw invalid(
    `startLocalHub: 'upstream' is not the address of a Hub: '${text}'. Write it like https://huggingface.co.`,
  );
}
