import { createHash } from 'node:crypto';

/** What a call came to, with all that may differ between two calls taken out of it: addresses of servers, times, ids. */
export async function outcomeOf(call: () => unknown, places: Record<string, string>): Promise<unknown> {
  try {
    return { gave: await plain(await call(), places) };
  } catch (error) {
    return { threw: errorText(error, places) };
  }
}

function errorText(error: unknown, places: Record<string, string>): unknown {
  if (!(error instanceof Error)) return `no Error: ${String(error)}`;
  const { statusCode, url, requestId, data } = error as Error & Record<string, unknown>;
  // A subclass of some package's own is told by its name, everything else by the class that programs ask for.
  const kind = error.constructor.name;
  if (kind !== 'HubApiError') return kind;
  // The query is left out of ours, as it may be a signature.
  const path = cleaned(String(url), places).split('?')[0];
  return { kind, statusCode, path, hasRequestId: typeof requestId === 'string', hasData: typeof data === 'object' };
}

async function plain(value: unknown, places: Record<string, string>): Promise<unknown> {
  if (value instanceof Blob) {
    const bytes = new Uint8Array(await value.arrayBuffer());
    return { blob: sha256(bytes), size: value.size, type: value.type };
  }
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) return { bytes: sha256(new Uint8Array(value)) };
  if (value instanceof Date) return 'a time';
  if (value instanceof URL) return { url: cleaned(value.href, places) };
  if (value instanceof RegExp) return String(value);
  if (value instanceof Error) return 'an Error';
  if (typeof value === 'string') return cleaned(value, places);
  if (Array.isArray(value)) return Promise.all(value.map((item) => plain(item, places)));
  if (typeof value !== 'object' || value === null) return value;
  const entries = await Promise.all(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(async ([name, item]) => [name, await plain(item, places)] as const),
  );
  return Object.fromEntries(entries);
}

function cleaned(text: string, places: Record<string, string>): string {
  let clean = text;
  for (const [place, name] of Object.entries(places)) clean = clean.replaceAll(place, name);
  return clean.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'a time');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
