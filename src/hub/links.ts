/** The targets of a `Link` header by relation, as in RFC 8288: `<url>; rel="name", …`. */
export function parseLinks(header: string | null): Record<string, string> {
  const links: Record<string, string> = {};
  for (const [, target = '', parameters = ''] of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    const relation = /;\s*rel\s*=\s*"?([^";,]+)"?/i.exec(parameters)?.[1];
    if (relation) for (const name of relation.trim().split(/\s+/)) links[name] ??= target;
  }
  return links;
}
