import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { loadCodec } from '../../src/codec/load.node.ts';
import { type LocalHub, type LocalHubOptions, startLocalHub } from '../../src/local-hub/start.ts';

/** A Hub that ends with the test. */
export async function testHub(options: LocalHubOptions = {}): Promise<LocalHub> {
  const hub = await startLocalHub(options);
  onTestFinished(() => hub.close());
  return hub;
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xetkit-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Bytes that look random and are the same every time. */
export function noise(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed | 1;
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state >>> 11;
  }
  return bytes;
}

export const TOKEN = { authorization: 'Bearer hf_local' };

/** Does not follow redirects, so that each answer can be looked at. */
export function call(hub: LocalHub, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(hub.url + path, { redirect: 'manual', ...init });
}

export async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

/** Bytes as a request body. */
export function asBody(bytes: Uint8Array): BodyInit {
  return new Uint8Array(bytes);
}

/** Comparing megabytes element by element takes an assertion library seconds. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function post(
  hub: LocalHub,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return call(hub, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

/** A commit as clients send it. */
export function commit(
  hub: LocalHub,
  repo: string,
  operations: { key: string; value: unknown }[],
  options: { revision?: string; query?: string; header?: object; token?: string } = {},
): Promise<Response> {
  const lines = [{ key: 'header', value: { summary: 'Change', ...options.header } }, ...operations];
  const revision = encodeURIComponent(options.revision ?? 'main');
  return call(hub, `/api/models/${repo}/commit/${revision}${options.query ?? ''}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${options.token ?? 'hf_local'}`, 'content-type': 'application/x-ndjson' },
    body: lines.map((line) => JSON.stringify(line)).join('\n'),
  });
}

export function file(path: string, text: string) {
  return { key: 'file', value: { path, content: Buffer.from(text).toString('base64'), encoding: 'base64' } };
}

/** A token for the CAS, as headers. */
export async function casToken(hub: LocalHub, repo: string, scope: 'read' | 'write' = 'read') {
  const response = await call(hub, `/api/models/${repo}/xet-${scope}-token/main`, { headers: TOKEN });
  const { accessToken } = (await response.json()) as { accessToken: string };
  return { authorization: `Bearer ${accessToken}` };
}

export interface ReconstructionV2 {
  offset_into_first_range: number;
  terms: { hash: string; unpacked_length: number; range: { start: number; end: number } }[];
  xorbs: Record<
    string,
    { url: string; ranges: { chunks: { start: number; end: number }; bytes: { start: number; end: number } }[] }[]
  >;
}

export async function fileHashOf(hub: LocalHub, repo: string, path: string): Promise<string> {
  const response = await call(hub, `/${repo}/resolve/main/${path}`, { method: 'HEAD' });
  return response.headers.get('x-xet-hash') ?? '';
}

export async function reconstruction(hub: LocalHub, repo: string, path: string, range?: string) {
  const hash = await fileHashOf(hub, repo, path);
  const headers = { ...(await casToken(hub, repo)), ...(range && { range }) };
  const response = await call(hub, `/cas/v2/reconstructions/${hash}`, { headers });
  return (await response.json()) as ReconstructionV2;
}

/** Puts a file together the way a client does: one request for each range. */
export async function assemble(found: ReconstructionV2): Promise<Uint8Array> {
  const codec = await loadCodec();
  const parts: Uint8Array[] = [];
  for (const term of found.terms) {
    for (const entry of found.xorbs[term.hash] ?? []) {
      for (const { chunks, bytes } of entry.ranges) {
        if (chunks.start > term.range.start || chunks.end < term.range.end) continue;
        const response = await fetch(entry.url, { headers: { range: `bytes=${bytes.start}-${bytes.end}` } });
        const run = codec.decodeRun(await bytesOf(response));
        const view = new DataView(run.chunks.buffer, run.chunks.byteOffset);
        const ends = [0];
        for (let at = 32; at < run.chunks.length; at += 36) ends.push((ends.at(-1) ?? 0) + view.getUint32(at, true));
        parts.push(run.data.slice(ends[term.range.start - chunks.start], ends[term.range.end - chunks.start]));
      }
    }
  }
  return new Uint8Array(Buffer.concat(parts).subarray(found.offset_into_first_range));
}
