import { isIP } from 'node:net';
import { XetError } from '../../core/errors.ts';

/** Facts about the origin of a request and the host that it names. */
export interface SenderFacts {
  method: string;
  /** The `Host` header. */
  host: string | undefined;
  /** The `Origin` header, which browsers add to everything that may change something. */
  origin: string | undefined;
  /** The `Sec-Fetch-Site` header, which pages cannot set. */
  fetchSite: string | undefined;
  /** The address that the connection arrived at. */
  localAddress: string | undefined;
}

/** Hosts that the server answers for, and pages that it trusts besides its own. */
export interface SenderRules {
  /** Names and addresses without a port, in lower case. */
  hosts: ReadonlySet<string>;
  origins: ReadonlySet<string>;
}

/**
 * Sender of a request: a program (`direct`), a page of this server (`own`), a page of an allowed origin (`allowed`), or
 * any other page (`foreign`).
 */
export type Sender = 'direct' | 'own' | 'allowed' | 'foreign';

const READING = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The host that the request names, with its port, where it is one that this server answers for. */
export function trustedHost({ host, localAddress }: SenderFacts, { hosts }: SenderRules): string | undefined {
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(host ?? '');
  if (!match) return undefined;
  const [whole, v6, other = ''] = match;
  const name = canonicalHost(v6 ?? other);
  if ((isIP(name) === 6) !== (v6 !== undefined)) return undefined;
  const known =
    name === 'localhost' || isLoopback(name) || name === canonicalHost(localAddress ?? '') || hosts.has(name);
  return known ? whole.toLowerCase() : undefined;
}

export function senderOf(facts: SenderFacts, rules: SenderRules): Sender {
  const { origin, fetchSite } = facts;
  if (origin === undefined) return fetchSite === 'cross-site' || fetchSite === 'same-site' ? 'foreign' : 'direct';
  if (rules.origins.has(origin.toLowerCase())) return 'allowed';
  const host = trustedHost(facts, rules);
  return host !== undefined && origin.toLowerCase() === `http://${host}` ? 'own' : 'foreign';
}

/** Reason why a request is refused; undefined if it is answered. */
export function refusalOf(facts: SenderFacts, rules: SenderRules): string | undefined {
  if (facts.host !== undefined && trustedHost(facts, rules) === undefined) {
    return (
      `This Hub does not answer for the host ${JSON.stringify(facts.host.slice(0, 200))}, as a page could have led a ` +
      'browser here by that name. Use an address of this machine, or start the Hub with allowedHosts (--allow-host).'
    );
  }
  if (READING.has(facts.method) || senderOf(facts, rules) !== 'foreign') return undefined;
  const origin = facts.origin === undefined ? 'another origin' : JSON.stringify(facts.origin.slice(0, 200));
  return (
    `A page of ${origin} may not change anything here. If it is yours, start the Hub with its origin in ` +
    'allowedOrigins (--allow-origin).'
  );
}

/** An origin as browsers write it. */
export function parseOrigin(text: string): string {
  const origin = text.trim().toLowerCase().replace(/\/$/, '');
  const isWeb = /^https?:/.test(origin);
  if (isWeb && URL.canParse(origin) && new URL(origin).href === `${new URL(origin).origin}/`)
    return new URL(origin).origin;
  // Extensions and applications have schemes of their own, which URL knows no origins of.
  if (!isWeb && /^[a-z][a-z\d+.-]*:\/\/[\w.:[\]-]+$/.test(origin)) return origin;
  throw new XetError('INVALID_ARGUMENT', `Not an origin: '${text}'. Write it like http://localhost:3000.`);
}

/** The name or address of a host, without a port. */
export function parseHost(text: string): string {
  const host = text.trim().replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) !== 0 || /^[a-z\d_](?:[\w-]*[a-z\d_])?(?:\.[a-z\d_](?:[\w-]*[a-z\d_])?)*$/i.test(host)) {
    return canonicalHost(host);
  }
  throw new XetError(
    'INVALID_ARGUMENT',
    `Not a host name: '${text}'. Write the name or address alone, like models.example.org.`,
  );
}

/** One spelling for every host: of addresses there are several. */
function canonicalHost(host: string): string {
  const plain = host.toLowerCase().replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/, '');
  return isIP(plain) === 6 && !plain.includes('%') ? new URL(`http://[${plain}]`).hostname.slice(1, -1) : plain;
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
