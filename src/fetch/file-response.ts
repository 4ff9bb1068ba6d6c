import type { ByteRange } from '../core/ranges.ts';
import { checkPreconditions, rangeApplies, requestedRange } from './preconditions.ts';

/** Metadata of a file that its response needs. */
export interface FileFacts {
  path: string;
  /** Bytes. */
  size: number;
  /** sha256 of a large file, git sha1 of a small one. */
  etag: string;
  commit: string;
  xetHash: string | undefined;
}

/** Head of a response, and its body: a range of the file, or a text that may be empty. */
interface FileResponse {
  status: number;
  headers: Record<string, string>;
  body: { content: ByteRange } | { text: string };
}

interface FileRequest {
  headers: Headers;
  /** True if the file is to be saved rather than shown. */
  attachment: boolean;
}

/** The response that the Hub and its CDN give to a request for a file, after redirects. */
export function respondTo({ headers, attachment }: FileRequest, file: FileFacts): FileResponse {
  // The CDN's tag of a large file is its Xet hash, the Hub's its sha256. A caller may have kept either.
  const tags = file.xetHash === undefined ? [file.etag] : [file.xetHash, file.etag];
  const known = { etag: `"${tags[0]}"`, ...hubHeaders(file) };
  const precondition = checkPreconditions(headers, tags);
  if (precondition === 'not-modified') return { status: 304, headers: known, body: { text: '' } };
  if (precondition === 'failed') return withText(412, known, 'Precondition failed');
  const requested = rangeApplies(headers, tags) ? requestedRange(headers.get('range'), file.size) : undefined;
  const all: Record<string, string> = { ...known, 'accept-ranges': 'bytes' };
  const range = requested ?? 'all';
  // No range of an empty file is satisfiable, but a caller that probes with one wants to learn the size.
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

function withText(status: number, headers: Record<string, string>, text: string): FileResponse {
  const type = { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(text.length) };
  return { status, headers: { ...headers, ...type }, body: { text } };
}

/** True for files that are stored outside git and so have a sha256. */
function isLarge({ etag, xetHash }: FileFacts): boolean {
  return xetHash !== undefined || etag.length === 64;
}

/** The Hub's own headers; `x-linked-*` are those of large files. */
function hubHeaders(file: FileFacts): Record<string, string> {
  return {
    ...(file.commit !== '' && { 'x-repo-commit': file.commit }),
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

/** Types that pages can show or play. */
const MEDIA_TYPES: Record<string, string> = {
  avif: 'image/avif',
  bmp: 'image/bmp',
  gif: 'image/gif',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  png: 'image/png',
  svg: 'image/svg+xml',
  webp: 'image/webp',
  flac: 'audio/flac',
  m4a: 'audio/mp4',
  mp3: 'audio/mpeg',
  ogg: 'audio/ogg',
  wav: 'audio/wav',
  mov: 'video/quicktime',
  mp4: 'video/mp4',
  webm: 'video/webm',
  pdf: 'application/pdf',
};

/**
 * The type that the Hub gives a file: images, audio and video their own. Anything else in git is text, whatever its
 * name, so that no site runs the scripts and pages of a repository as its own; the rest is bytes.
 */
function contentTypeOf(path: string, stored: 'git' | 'large'): string {
  const extension = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? '';
  if (Object.hasOwn(MEDIA_TYPES, extension)) return MEDIA_TYPES[extension] ?? '';
  return stored === 'git' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
