import { platform } from '../client/platform.node.ts';
import { XetClient } from '../client/xet-client.ts';
import { isXetError, publicText, XetError } from '../core/errors.ts';
import { isHtml } from '../http/json.ts';
import type { Target } from './target.ts';

/** Hosts from which files of huggingface.co come. Firewalls that let the Hub through block these. */
export const STORAGE_HOSTS = [
  'cas-server.xethub.hf.co',
  'transfer.xethub.hf.co',
  'cas-bridge.xethub.hf.co',
  'us.aws.cdn.hf.co',
  'us.gcp.cdn.hf.co',
];
const TIMEOUT_MS = 10_000;

/** Hosts that cannot be reached, with the reason. Whatever a host answers to a question without meaning, it is there. */
export async function blockedHosts(hosts: readonly string[], outer: AbortSignal): Promise<string[]> {
  const looked = await Promise.all(
    hosts.map(async (host) => {
      const signal = AbortSignal.any([outer, AbortSignal.timeout(TIMEOUT_MS)]);
      try {
        const { status, headers, url, body } = await platform.fetchOf(undefined)(`https://${host}/`, { signal });
        void body?.getReader().cancel();
        if (status === 407 || status === 511) return `${host} (${status}: a login is wanted)`;
        const elsewhere = new URL(url || `https://${host}`).host !== host;
        return (status === 200 && isHtml(headers)) || elsewhere
          ? `${host} (a web page answered in its place)`
          : undefined;
      } catch (error) {
        outer.throwIfAborted();
        return `${host} (${reasonOf(error)})`;
      }
    }),
  );
  return looked.filter((one) => one !== undefined);
}

/** Reads a byte of a file of a repository over Xet, and says which hosts that took. Throws what goes wrong. */
export async function readOneByte({ repo, revision }: Target, signal: AbortSignal): Promise<string[]> {
  const hosts = new Set<string>();
  const rewriteUrl = (url: string, kind: string) => {
    hosts.add(`${new URL(url).host} (${{ hub: 'Hub', cas: 'CAS' }[kind] ?? 'data'})`);
    return url;
  };
  await using client = new XetClient({ rewriteUrl, chunkCache: false, fallback: 'never', retry: { attempts: 2 } });
  for await (const { type, path, size, xetHash } of client.listFiles({ repo, revision, recursive: true, signal })) {
    if (type !== 'file' || xetHash === undefined || size === 0) continue;
    await (await client.open({ repo, path, revision, signal })).read(0, 1, { signal });
    return [...hosts];
  }
  throw new XetError('ENTRY_NOT_FOUND', 'The repository has no file that is stored in Xet.');
}

/** The innermost reason of a failure, without credentials. */
export function reasonOf(error: unknown): string {
  let reason = error;
  while (!isXetError(reason) && reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  if (!(reason instanceof Error)) return publicText(String(reason));
  return publicText(reason.message || ('code' in reason ? String(reason.code) : reason.name)).slice(0, 500);
}
