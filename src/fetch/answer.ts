import type { ByteRange } from '../core/ranges.ts';
import { checkConditions, rangeHolds } from './conditions.ts';
import { contentTypeOf } from './content-type.ts';
import { requestedRange } from './range.ts';

/** What an answer needs to know of a file. */
export interface FileFacts {
  path: string;
  /** Bytes. */
  size: number;
  /** sha256 of a large file, git sha1 of a small one. */
  etag: string;
  commit: string;
  xetHash: string | undefined;
}

/** The head of an answer, and what its body is: bytes of the file, a few words, or nothing. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: { content: ByteRange } | { text: string };
}

export interface Question {
  headers: Headers;
  attachment: boolean;
}

/** What a Hub and its CDN answer to a request for a file, redirects followed. */
export function answerTo({ headers, attachment }: Question, file: FileFacts): Answer {
  // The CDN knows a large file by its Xet hash, the Hub by its sha256. Who held on to either means this content.
  const tags = file.xetHash === undefined ? [file.etag] : [file.xetHash, file.etag];
  const known = { etag: `"${tags[0]}"`, ...linked(file) };
  const outcome = checkConditions(headers, tags);
  if (outcome === 'not-modified') return { status: 304, headers: known, body: { text: '' } };
  if (outcome === 'failed') return withText(412, known, 'Precondition failed');
  const asked = rangeHolds(headers, tags) ? requestedRange(headers.get('range'), file.size) : undefined;
  const all: Record<string, string> = { ...known, 'accept-ranges': 'bytes' };
  const range = asked ?? 'all';
  // An empty file has no byte that a range could name; who probes with one wants to hear of its size all the same.
  if (range === 'unsatisfiable' && file.size > 0) {
    return withText(416, { ...all, 'content-range': `bytes */${file.size}` }, 'Requested range not satisfiable');
  }
  const content = typeof range === 'string' ? { start: 0, end: file.size } : range;
  all['content-type'] = contentTypeOf(file.path, isLarge(file) ? 'large' : 'git');
  all['content-disposition'] = disposition(file.path, attachment);
  all['content-length'] = String(content.end - content.start);
  if (range === 'unsatisfiable') all['content-range'] = 'bytes */0';
  else if (range !== 'all') all['content-range'] = `bytes ${content.start}-${content.end - 1}/${file.size}`;
  return { status: typeof range === 'string' ? 200 : 206, headers: all, body: { content } };
}

function withText(status: number, headers: Record<string, string>, text: string): Answer {
  const type = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(text.length) };
  return { status, headers: { ...headers, ...type }, body: { text } };
}

/** Kept outside of git: these have a sha256. */
function isLarge({ etag, xetHash }: FileFacts): boolean {
  return xetHash !== undefined || etag.length === 64;
}

/** What the Hub says of a file beside its content; the second part of large ones only. */
function linked(file: FileFacts): Record<string, string> {
  return {
    'x-repo-commit': file.commit,
    ...(isLarge(file) && { 'x-linked-size': String(file.size), 'x-linked-etag': `"${file.etag}"` }),
    ...(file.xetHash !== undefined && { 'x-xet-hash': file.xetHash }),
  };
}

function disposition(path: string, attachment: boolean): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const plain = name.replace(/[^\x20-\x7e]|["\\]/g, '_');
  // RFC 8187 allows fewer characters than encodeURIComponent leaves.
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${attachment ? 'attachment' : 'inline'}; filename*=UTF-8''${encoded}; filename="${plain}";`;
}
