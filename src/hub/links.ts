/** The targets of a `Link` header by relation, as in RFC 8288: `<url>; rel="name", …`. */
export function parseLinks(header: string | null): Record<string, string> {
  const links: Record<string, string> = {};
  for (const [, target = '', parameters = ''] of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    const relation = /;\s*rel\s*=\s*"?([^";,]+)"?/i.exec(parameters)?.[1];
    if (relation) for (const name of relation.trim().split(/\s+/)) links[name] ??= target;
  }
  return links;
}

/**
 * An address that a Hub gave, on the endpoint in use: a mirror may repeat the Hub's own addresses, and one below a path
 * may not know of that path. The token is sent there, so no other host will do. `asked` is what a relative one refers to.
 */
export function onEndpoint(
  endpoint: string,
  given: string | null | undefined,
  asked = `${endpoint}/`,
): string | undefined {
  if (!given || !URL.canParse(given, asked)) return undefined;
  const url = new URL(given, asked);
  const base = new URL(`${endpoint}/`);
  if (url.origin === base.origin && url.pathname.startsWith(base.pathname)) {
    return `${url.origin}${url.pathname}${url.search}`;
  }
  const call = /\/api\/(?:models|datasets|spaces|kernels|buckets|repos)\/.*$/.exec(url.pathname)?.[0];
  return call === undefined ? undefined : `${endpoint}${call}${url.search}`;
}
