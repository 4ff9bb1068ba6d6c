import { textsOf } from '../core/arguments.ts';
import { isXetError, XetError } from '../core/errors.ts';
import { isNeverUploaded, selectPaths } from '../core/patterns.ts';
import { explainPatterns, reportText } from '../core/selection.ts';
import type { Http } from '../http/http.ts';
import { checkPath, givenFolder } from '../hub/repo.ts';
import { BlobReader, bytesReader, type ContentReader, StreamReader } from './content-reader.ts';
import { UrlReader } from './url-reader.ts';

/**
 * Content of a file: a Blob or File, bytes, a stream of bytes, or a URL to fetch it from (without a token). In Node, Deno
 * and Bun also the path or `file:` URL of a local file, or of a folder, which is uploaded with everything in it.
 */
export type UploadContent =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | URL
  | string;

/** A file, or a folder, and its path in the repository. */
export interface UploadFile {
  /** Path in the repository; '' puts a folder's contents into the root. */
  path: string;
  /** Content, or its location. A string is a local path, in Node, Deno and Bun. */
  content: UploadContent;
}

/**
 * Something to upload. A `File` is named by its path in the folder that the user picked, or by its name, and a URL by the
 * last part of its path. In Node, Deno and Bun a string is the path of a local file, which keeps its name, or of a
 * folder, whose contents go into the root of the repository.
 */
export type UploadItem = UploadFile | File | URL | string;

/** A file to upload. */
export interface Candidate {
  /** Path in the repository. */
  path: string;
  content: ContentReader;
}

/** A local file or folder. */
export type LocalEntry =
  | { kind: 'file'; name: string; content: ContentReader }
  | {
      kind: 'folder';
      name: string;
      /** All files, by path relative to the folder, with '/'. A folder for which `skip` is true is skipped with its contents. */
      files(skip: (path: string) => boolean): AsyncIterable<Candidate>;
    };

/** Options for opening local files. */
export interface OpenLocal {
  /** Allows file system roots, home folders, and links that lead out of a folder. */
  force: boolean;
  onWarning: (message: string) => void;
}

/** Access to local files, on platforms that have them. */
export interface LocalFiles {
  open(path: string | URL, options: OpenLocal): Promise<LocalEntry>;
}

interface GatherContext extends OpenLocal {
  http: Http;
  local: LocalFiles | undefined;
}

/** One or more things to upload. */
export type UploadItems = UploadItem | Iterable<UploadItem> | AsyncIterable<UploadItem>;

/** Selection of files in folders by Python's `fnmatch` patterns, on paths relative to the folder. */
export interface FolderPatterns {
  include?: string | readonly string[] | undefined;
  exclude?: string | readonly string[] | undefined;
}

/** Lists all files to upload, without reading them. Rejects with `INVALID_ARGUMENT` if two have the same path. */
export async function gather(
  items: UploadItems,
  patterns: FolderPatterns,
  context: GatherContext,
): Promise<Candidate[]> {
  const found = new Map<string, Candidate>();
  const add = (path: string, content: ContentReader) => {
    checkUploadPath(path);
    if (found.has(path)) {
      throw new XetError('INVALID_ARGUMENT', `Two files have the path '${path}'. Give each file its own path.`);
    }
    found.set(path, { path, content });
  };
  for await (const item of listOf(items)) {
    const { path, content } = asFile(item);
    const entry = await open(path, content, context);
    const folder = path === undefined ? undefined : givenFolder(path);
    const below = (name: string) => (folder === undefined ? name : `${folder}/${name}`);
    if (entry.kind === 'file') {
      add(folder === undefined || path?.endsWith('/') ? below(entry.name) : folder, entry.content);
    } else {
      for (const file of await selected(entry, patterns)) {
        try {
          add(below(file.path), file.content);
        } catch (error) {
          if (!isXetError(error, 'INVALID_ARGUMENT')) throw error;
          throw new XetError(error.code, `${error.message} Rename the file, or exclude it (exclude, --exclude).`);
        }
      }
    }
  }
  return [...found.values()];
}

/** Wraps a single item in a list. A string is a path, not a list of characters. */
function listOf(items: UploadItems): Iterable<UploadItem> | AsyncIterable<UploadItem> {
  if (items instanceof String) return [`${items}`];
  if (typeof items === 'string' || items instanceof URL || items instanceof Blob) return [items];
  if (typeof items === 'object' && items !== null) {
    if ('content' in items) return [items];
    if (Symbol.iterator in items || Symbol.asyncIterator in items) return items;
  }
  throw new XetError(
    'INVALID_ARGUMENT',
    'files must be something to upload, such as a path or { path, content }, or a list of such items.',
  );
}

/** Checks a path; throws for one that the Hub refuses, or that no client uploads. */
function checkUploadPath(path: string): string {
  checkPath(path);
  if (isNeverUploaded(path)) {
    throw new XetError(
      'INVALID_ARGUMENT',
      `'${path.slice(0, 200)}' cannot be uploaded: '.git' and '.cache/huggingface' are folders of other tools.`,
    );
  }
  return path;
}

async function selected(
  folder: Extract<LocalEntry, { kind: 'folder' }>,
  { include, exclude }: FolderPatterns,
): Promise<Candidate[]> {
  const [allow, ignore] = [textsOf(include, 'include'), textsOf(exclude, 'exclude')];
  const all: Candidate[] = [];
  for await (const file of folder.files(isNeverUploaded)) all.push(file);
  const taken = selectPaths(all, ({ path }) => path, { allow, ignore });
  if (taken.length > 0) return taken;
  const paths = all.map(({ path }) => path);
  const reason = paths.length === 0 ? 'It contains no files.' : reportText(explainPatterns(paths, { allow, ignore }));
  throw new XetError('INVALID_ARGUMENT', `There is nothing to upload in the folder '${folder.name}'. ${reason}`);
}

function asFile(item: UploadItem): { path: string | undefined; content: UploadContent } {
  if (typeof item === 'string' || item instanceof URL) return { path: undefined, content: item };
  if (isFile(item)) return { path: item.webkitRelativePath || item.name, content: item };
  if (typeof item?.path === 'string' && item.content !== undefined) return item;
  throw new XetError(
    'INVALID_ARGUMENT',
    item instanceof Blob
      ? 'A Blob has no name. Upload { path, content } instead.'
      : 'An item to upload must be a local path, a File, a URL, or { path, content }.',
  );
}

function isFile(item: object): item is File {
  return item instanceof Blob && 'name' in item;
}

async function open(
  path: string | undefined,
  content: UploadContent,
  { http, local, force, onWarning }: GatherContext,
): Promise<LocalEntry> {
  const name = path ?? '';
  const file = (reader: ContentReader, ownName = name): LocalEntry => ({
    kind: 'file',
    name: ownName,
    content: reader,
  });
  if (typeof content === 'string' || (content instanceof URL && content.protocol === 'file:')) {
    if (!local) {
      throw new XetError(
        'INVALID_ARGUMENT',
        `Local paths cannot be read on this platform. The content of '${name || String(content)}' must be a Blob, bytes, a stream or a URL; for text use new Blob([text]).`,
      );
    }
    const opening = local.open(content, { force, onWarning });
    const isText = path !== undefined && typeof content === 'string' && !LIKE_A_PATH.test(content);
    return isText ? opening.catch(explainText) : opening;
  }
  if (content instanceof URL) return file(new UrlReader(content, http), nameOf(content));
  if (content instanceof Blob) return file(new BlobReader(name, content));
  if (content instanceof Uint8Array) return file(bytesReader(content));
  if (content instanceof ArrayBuffer) return file(bytesReader(new Uint8Array(content)));
  if (typeof content === 'object' && content !== null && (Symbol.asyncIterator in content || 'getReader' in content))
    return file(new StreamReader(name, content));
  throw new XetError(
    'INVALID_ARGUMENT',
    `The content of '${name}' has an unsupported type. Use a Blob, bytes, a stream, a local path or a URL.`,
  );
}

/** Starts like a path, or ends with an extension: not meant as text. */
const LIKE_A_PATH = /^\.{0,2}[/\\]|\.\w{1,12}$/;

/** Explains that content is a path, if the string was perhaps meant as text. */
function explainText(error: unknown): never {
  const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
  if (!isXetError(error) || !['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(String(code))) throw error;
  throw new XetError(
    'INVALID_ARGUMENT',
    `${error.message.slice(0, 300)} A string as content is a local path. For text use new Blob([text]).`,
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
