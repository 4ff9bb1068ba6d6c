import { createHash } from 'node:crypto';

/** JSON, and a line with its sha256: a number in JSON with a digit changed is still a number. */
export function withSum(json: string): Uint8Array {
  return new TextEncoder().encode(`${json}\n${sha256Of(json)}\n`);
}

/** The value of JSON whose sum is right; undefined for anything else. */
export function parseWithSum(text: string): unknown {
  const [json = '', sum, ...rest] = text.split('\n');
  if (sum !== sha256Of(json) || rest.join('') !== '') return undefined;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
