import { textsOf } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { isNeverUploaded, selectPaths } from '../core/patterns.ts';
import { explainPatterns, reportText } from '../core/selection.ts';
import type { Http } from '../http/http.ts';
import { checkPath, givenFolder } from '../hub/repo.ts';
import { BlobSource } from './blob-source.ts';
import { bytesSource, type SourceFile } from './source-file.ts';
import { StreamSource } from './stream-source.ts';
import { UrlSource } from './url-source.ts';

/**
 * Content of a file: a Blob or File, bytes, a stream of bytes, an address to fetch it from (no token is sent there);
 * in Node, Deno and Bun also the path or `file:` address of a local file, or of a folder, which then is uploaded with
 * all that is in it.
 */
export type UploadContent =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | URL
  | string;

/** A file and the path that it is to have in the repository; of a folder the path of that, '' for the root. */
export interface UploadFile {
  /** Path in the repository. */
  path: string;
  /** What is in it, or where that is. A text is a local path in Node, Deno and Bun. */
  content: UploadContent;
}

/**
 * What is uploaded. A `File` has the path that the user's choice of a folder gave it, or its name; an address has the
 * last part of its path for a name. In Node, Deno and Bun a text is the path of a local file, which keeps its name, or
 * of a folder, whose contents go into the root of the repository.
 */
export type UploadItem = UploadFile | File | URL | string;

/** A file that may be uploaded. */
export interface Candidate {
  /** In the repository. */
  path: string;
  source: SourceFile;
}

/** A local file, or a folder of them. */
export type LocalThing =
  | { kind: 'file'; name: string; source: SourceFile }
  | {
      kind: 'folder';
      name: string;
      /** Paths are from the folder on, joined by '/'; folders are skipped as a whole. */
      files(skip: (path: string) => boolean): AsyncIterable<Candidate>;
    };

/** Options for opening local files. */
export interface OpenLocal {
  /** Also takes roots of file systems, home folders, and what links lead to outside of a folder. */
  force: boolean;
  onWarning: (message: string) => void;
}

/** Where local paths mean something. */
export interface LocalFiles {
  open(path: string | URL, options: OpenLocal): Promise<LocalThing>;
}

export interface GatherParts extends OpenLocal {
  http: Http;
  local: LocalFiles | undefined;
}

/** One item, or several of them. */
export type UploadItems = UploadItem | Iterable<UploadItem> | AsyncIterable<UploadItem>;

/** Which files of folders are taken: Python's patterns, on paths from the folder on. */
export interface FolderPatterns {
  include?: string | readonly string[] | undefined;
  exclude?: string | readonly string[] | undefined;
}

/** All files that are meant, each under the path that it is to have. Reads none of them. */
export async function gather(items: UploadItems, patterns: FolderPatterns, parts: GatherParts): Promise<Candidate[]> {
  const found = new Map<string, Candidate>();
  const add = (path: string, source: SourceFile) => {
    checkUploadPath(path);
    if (found.has(path)) {
      throw new XetError('INVALID_ARGUMENT', `'${path}' is to be uploaded twice: give each file a path of its own.`);
    }
    found.set(path, { path, source });
  };
  for await (const item of listOf(items)) {
    const { path, content } = asFile(item);
    const thing = await open(path, content, parts);
    const folder = path === undefined ? undefined : givenFolder(path);
    const below = (name: string) => (folder === undefined ? name : `${folder}/${name}`);
    if (thing.kind === 'file') {
      add(folder === undefined || path?.endsWith('/') ? below(thing.name) : folder, thing.source);
    } else {
      for (const file of await selected(thing, patterns)) {
        try {
          add(below(file.path), file.source);
        } catch (error) {
          if (!isXetError(error, 'INVALID_ARGUMENT')) throw error;
          throw new XetError(error.code, `${error.message} Rename it, or leave it out with exclude (--exclude).`);
        }
      }
    }
  }
  return [...found.values()];
}

/** A single item is a list of one: a text that is meant as a path is no list of its characters. */
function listOf(items: UploadItems): Iterable<UploadItem> | AsyncIterable<UploadItem> {
  if (items instanceof String) return [`${items}`];
  if (typeof items === 'string' || items instanceof URL || items instanceof Blob) return [items];
  if (typeof items === 'object' && items !== null) {
    if ('content' in items) return [items];
    if (Symbol.iterator in items || Symbol.asyncIterator in items) return items;
  }
  throw new XetError(
    'INVALID_ARGUMENT',
    'files is what to upload, such as a path or { path, content }, or a list of that.',
  );
}

/** Rejects paths that the Hub refuses, or that other clients leave out of every upload. */
export function checkUploadPath(path: string): string {
  checkPath(path);
  if (isNeverUploaded(path)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${path.slice(0, 200)}' cannot be uploaded: '.git' and '.cache/huggingface' belong to other tools.`,
    );
  }
  return path;
}

async function selected(
  folder: Extract<LocalThing, { kind: 'folder' }>,
  { include, exclude }: FolderPatterns,
): Promise<Candidate[]> {
  const [allow, ignore] = [textsOf(include, 'include'), textsOf(exclude, 'exclude')];
  const all: Candidate[] = [];
  for await (const file of folder.files(isNeverUploaded)) all.push(file);
  const taken = selectPaths(all, ({ path }) => path, { allow, ignore });
  if (taken.length > 0) return taken;
  const paths = all.map(({ path }) => path);
  const why = paths.length === 0 ? 'There is no file in it.' : reportText(explainPatterns(paths, { allow, ignore }));
  throw new XetError('INVALID_ARGUMENT', `Nothing of the folder '${folder.name}' is to be uploaded. ${why}`);
}

function asFile(item: UploadItem): { path: string | undefined; content: UploadContent } {
  if (typeof item === 'string' || item instanceof URL) return { path: undefined, content: item };
  if (isFile(item)) return { path: item.webkitRelativePath || item.name, content: item };
  if (typeof item?.path === 'string' && item.content !== undefined) return item;
  throw new XetError(
    'INVALID_ARGUMENT',
    item instanceof Blob
      ? 'A Blob has no name: upload { path, content }.'
      : 'What is uploaded is a local path, a File, an address, or { path, content }.',
  );
}

function isFile(item: object): item is File {
  return item instanceof Blob && 'name' in item;
}

async function open(
  path: string | undefined,
  content: UploadContent,
  { http, local, force, onWarning }: GatherParts,
): Promise<LocalThing> {
  const name = path ?? '';
  const file = (source: SourceFile, ownName = name): LocalThing => ({ kind: 'file', name: ownName, source });
  if (typeof content === 'string' || (content instanceof URL && content.protocol === 'file:')) {
    if (!local) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `There are no local paths here: the content of '${name || String(content)}' must be a Blob, bytes, a stream or an address; for a text use new Blob([text]).`,
      );
    }
    const opening = local.open(content, { force, onWarning });
    const isText = path !== undefined && typeof content === 'string' && !LIKE_A_PATH.test(content);
    return isText ? opening.catch(explainText) : opening;
  }
  if (content instanceof URL) return file(new UrlSource(content, http), nameOf(content));
  if (content instanceof Blob) return file(new BlobSource(name, content));
  if (content instanceof Uint8Array) return file(bytesSource(content));
  if (content instanceof ArrayBuffer) return file(bytesSource(new Uint8Array(content)));
  if (typeof content === 'object' && content !== null && (Symbol.asyncIterator in content || 'getReader' in content))
    return file(new StreamSource(name, content));
  throw new XetError('INVALID_ARGUMENT', `The content of '${name}' is nothing that can be uploaded.`);
}

/** A folder in front or an ending: whoever writes that means no text. */
const LIKE_A_PATH = /^\.{0,2}[/\\]|\.\w{1,12}$/;

/** Content that names no file was perhaps meant to be its text. */
function explainText(error: unknown): never {
  const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
  if (!isXetError(error) || !['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(String(code))) throw error;
  throw new XetError(
    'INVALID_ARGUMENT',
    `${error.message.slice(0, 300)} A string as content is a local path; for text use new Blob([text]).`,
    { cause: error.cause },
  );
}

function nameOf(url: URL): string {
  const last = url.pathname.split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}
