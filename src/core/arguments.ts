import { XetError } from './errors.ts';

// The options of each call: `name:kind`, with a `!` where it must be given. A kind is a letter of KINDS, or a choice of
// words. They are texts, and constants of their own, so that a page loads few bytes, and only those of its calls.
export const FILE_INFO = 'repo:r! path:s! revision:s signal:g';
export const OPEN = 'repo:r! path:s! revision:s signal:g beginning:b';
export const READ = 'signal:g';
export const STREAM = 'signal:g cautious:b';
export const READER =
  'endpoint:e accessToken:t fetch:f transport:own|platform rewriteUrl:f cacheDir:s chunkCache:a recipes:a verifiedFiles:a offline:b memoryBudget:m concurrency:a workers:a fallback:http|never xet:b retry:o timeouts:o onRetry:f onWarning:f caches:f codec:f';
export const CLIENT =
  'endpoint:e accessToken:t fetch:f transport:own|platform rewriteUrl:f cacheDir:s files:o uploads:o chunkCache:a recipes:a verifiedFiles:a offline:b memoryBudget:m sequentialWrites:b concurrency:a workers:a transferWorkers:a fallback:http|never xet:b retry:o timeouts:o onRetry:f onWarning:f';
export const RETRY = 'attempts:c baseDelayMs:n maxDelayMs:n';
export const TIMEOUTS = 'connectMs:n stallMs:n';
export const CHUNK_CACHE = 'maxBytes:m dir:s';
export const CACHE_PLACE = 'dir:s';
export const LIST_FILES = 'repo:r! revision:s path:s recursive:b signal:g';
export const DOWNLOAD_FILE = 'repo:r! path:s! revision:s signal:g localDir:s force:b onProgress:f';
export const PLAN_SNAPSHOT =
  'repo:r! revision:s include:l exclude:l allowPatterns:l ignorePatterns:l files:l localDir:s force:b offline:b signal:g';
export const SNAPSHOT =
  'repo:r! revision:s include:l exclude:l allowPatterns:l ignorePatterns:l files:l localDir:s force:b offline:b signal:g onProgress:f onFile:f';
export const UPLOAD =
  'repo:r! files:a include:l exclude:l deletions:l deletePatterns:l force:b branch:s title:s description:s parentCommit:s createPr:b signal:g onProgress:f';
export const EDIT = 'repo:r! path:s! edits:a! branch:s title:s description:s parentCommit:s createPr:b signal:g';
export const APPEND = 'repo:r! path:s! content:a! branch:s title:s description:s parentCommit:s createPr:b signal:g';
export const DELETE_FILES =
  'repo:r! paths:l! branch:s title:s description:s parentCommit:s createPr:b signal:g onProgress:f';
export const CREATE_REPO =
  'repo:r! visibility:public|private|protected private:b sdk:static|gradio|docker|streamlit region:us|eu resourceGroupId:s existOk:b signal:g';
export const CREATE_BRANCH = 'repo:r! branch:s! revision:s overwrite:b signal:g';
export const DELETE_BRANCH = 'repo:r! branch:s! signal:g';
export const CREATE_TAG = 'repo:r! tag:s! revision:s message:s signal:g';
export const DELETE_TAG = 'repo:r! tag:s! signal:g';
export const DELETE_REPO = 'repo:r! missingOk:b signal:g';
export const MOVE_REPO = 'from:r! to:r! signal:g';
export const UPDATE_REPO = 'repo:r! visibility:public|private|protected gated:auto|manual|false signal:g';
export const CACHE_USAGE = 'signal:g';
export const CACHE_PRUNE = 'maxBytes:m detached:b dryRun:b signal:g';
export const CACHE_REMOVE = 'dryRun:b signal:g';
export const CACHE_VERIFY = 'repos:a repair:b signal:g onFile:f onProgress:f';
export const XET_FETCH = 'client:o fetch:f aliases:l onProgress:f onWarning:f';
export const XET_CACHE = 'client:o fetch:f aliases:l onProgress:f onWarning:f rest:o';
export const INSTALL_XET = 'client:o fetch:f aliases:l onProgress:f onWarning:f claim:b progress:b';
export const ON_PROGRESS = 'container:v';
export const SAVE_FILE = 'signal:g onProgress:f force:b';

/** Names in other clients, in lower case without separators, after the name of the option here. */
const WORDS =
  'accessToken=token,hftoken,apikey,credentials endpoint=huburl,baseurl,url,host repo=repoid,repository,model,modelid,dataset path=filename,file,pathinrepo,name revision=branch,rev,ref,tag,commit branch=revision,rev,ref localDir=dir,outdir,output,out,folder,destination title=message,commitmessage,committitle,summary description=commitdescription,body include=allowpatterns,allow,patterns,pattern,glob exclude=ignorepatterns,ignore files=operations,items,folderpath,path,paths,content paths=path,files,file,filename,deletions deletions=delete,deletepaths force=forcedownload,overwrite offline=localfilesonly concurrency=maxworkers,connections workers=threads createPr=pr,pullrequest,ispullrequest signal=controller,abortcontroller onProgress=progress,callback cacheDir=cache,cachefolder attempts=retries,tries connectMs=connect,timeout stallMs=stall,read maxBytes=size,limit localDir=path';

const EXAMPLES: Record<string, string> = {
  repo: 'owner/model',
  path: 'config.json',
  branch: 'dev',
  paths: 'old.bin',
};

type Kind = readonly [what: string, fits: (value: unknown) => boolean];
const isText = (value: unknown) => typeof value === 'string';
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isCount = (value: unknown) => typeof value === 'number' && value >= 0;
const isCall = (value: unknown) => typeof value === 'function';
const isSignal = (value: unknown) =>
  isObject(value) && typeof value.aborted === 'boolean' && isCall(value.addEventListener);

const KINDS: Record<string, Kind> = {
  a: ['', () => true],
  b: ['true or false', (value) => typeof value === 'boolean'],
  c: ['a whole number from 1 on', (value) => Number.isInteger(value) && Number(value) > 0],
  e: ['the address of a Hub', (value) => isText(value) || value instanceof URL],
  f: ['a function', isCall],
  g: ['an AbortSignal', isSignal],
  l: [
    'a string or a list of strings',
    (value) =>
      isText(value) || (isObject(value) && Symbol.iterator in value && Array.from(value as never).every(isText)),
  ],
  m: ['a number of bytes, such as 64 * 1024 * 1024', isCount],
  n: ['a number from 0 on', isCount],
  o: ['an object', isObject],
  r: [
    "a repository, such as 'owner/model'",
    (value) => isText(value) || value instanceof URL || (isObject(value) && isText(value.name) && isText(value.type)),
  ],
  s: ['a string', isText],
  v: ['an EventTarget', (value) => isObject(value) && isCall(value.addEventListener)],
  t: ['a string, or a function that returns one', (value) => isText(value) || isCall(value)],
};

/** Takes an address apart; undefined for a plain repository name. */
type Locate = (text: string) => { repo: unknown; revision?: string | undefined; path?: string | undefined } | undefined;

const invalid = (message: string) => new XetError('INVALID_ARGUMENT', message);

/**
 * The options of a call, without those that are undefined. Throws `INVALID_ARGUMENT` for names that it does not have,
 * values of another kind, and for what is missing. If `repo` is an address that `locate` knows, its parts become options.
 */
export function checked<T extends object>(call: string, given: T, table: string, locate?: Locate): T {
  return checkedOptions(call, given, table, { locate });
}

/** Checks those options that the table names, and leaves out all others. */
export function checkedKnown<T extends object>(call: string, given: T, table: string): T {
  return checkedOptions(call, given, table, { skipsUnknown: true });
}

function checkedOptions<T extends object>(
  call: string,
  given: T,
  table: string,
  { locate, skipsUnknown = false }: { locate?: Locate | undefined; skipsUnknown?: boolean },
): T {
  const kinds = new Map(table.split(' ').map((one) => one.split(':') as [name: string, kind: string]));
  const needed = [...kinds].filter(([, kind]) => kind.endsWith('!')).map(([name]) => name);
  const example = needed
    .map((name) => `${name}: ${EXAMPLES[name] === undefined ? '…' : `'${EXAMPLES[name]}'`}`)
    .join(', ');
  const form = `${call}(${example === '' ? '{ … }' : `{ ${example} }`})`;
  if (!isObject(given) || Array.isArray(given) || given instanceof URL)
    throw invalid(`${call} takes its options in one object: ${form}.`);
  const options: Record<string, unknown> = {};
  for (const name in given) {
    const value = given[name] as unknown;
    if (value === undefined) continue;
    const kind = kinds.get(name);
    if (kind === undefined && skipsUnknown) continue;
    if (kind === undefined) throw invalid(`${call} has no option '${name}'. ${suggestion(name, [...kinds.keys()])}`);
    options[name] = checkedValue(`${call}: '${name}'`, value, kind);
  }
  if (kinds.has('repo') && locate) takeApart(call, options, kinds, locate);
  for (const name of needed) {
    if (options[name] === undefined) throw invalid(`${call} needs '${name}'. Write ${form}.`);
  }
  return options as T;
}

/** A value as its kind is used. Values of tokens are never shown. */
function checkedValue(name: string, value: unknown, kind: string): unknown {
  const letter = kind.charAt(0);
  const choices = kind.split('|');
  const [what, fits] =
    choices.length > 1
      ? ([`'${choices.join("' or '")}'`, (one: unknown) => choices.includes(one as string)] as const)
      : (KINDS[letter] as Kind);
  if (!fits(value)) {
    const hint = letter === 'g' && isObject(value) && isSignal(value.signal) ? ' Pass controller.signal.' : '';
    throw invalid(`${name} must be ${what}, not ${shown(value, kind === 't')}.${hint}`);
  }
  if (choices.length > 1) return value;
  if (value instanceof URL && (letter === 'e' || letter === 'r')) return value.href;
  // Once only, as an iterator cannot be read again.
  return letter === 'l' && !isText(value) ? [...(value as Iterable<unknown>)] : value;
}

/** A value for a message. Only the type of a secret one is shown. */
export function shown(value: unknown, secret = false): string {
  if (isObject(value) || isCall(value)) return Object.prototype.toString.call(value);
  if (secret) return `a ${typeof value}`;
  return isText(value) ? `'${String(value).slice(0, 100)}'` : String(value);
}

/** Uses what an `hf://` address or that of a page says besides the repository. */
function takeApart(
  call: string,
  options: Record<string, unknown>,
  kinds: ReadonlyMap<string, string>,
  locate: Locate,
): void {
  const { repo } = options;
  const place = typeof repo === 'string' ? locate(repo) : undefined;
  if (!place) return;
  options.repo = place.repo;
  for (const part of ['revision', 'path'] as const) {
    const value = place[part];
    if (value === undefined) continue;
    const name = part === 'revision' && !kinds.has(part) ? 'branch' : part;
    if (!kinds.has(name)) throw invalid(`${call} takes a repository, and '${repo}' also has the ${part} '${value}'.`);
    const other = options[name] ?? value;
    if (other !== value) throw invalid(`${call}: '${repo}' says ${name} '${value}', and '${name}' is '${other}'.`);
    options[name] = value;
  }
}

const sorted = (word: string) => [...word].sort().join('');
/** Letters in another order count as one slip, but a single edit is more likely. */
const slips = (word: string, name: string) =>
  Math.min(editsBetween(word, name), sorted(word) === sorted(name) ? 1.5 : Number.POSITIVE_INFINITY);
const plain = (name: string) => name.replace(/[_-]/g, '').toLowerCase();

/** The name that was most likely meant, or all of them. */
function suggestion(name: string, names: readonly string[]): string {
  const word = plain(name.slice(0, 50));
  let meant = names.find((one) => plain(one) === word);
  for (const entry of WORDS.split(' ')) {
    const [here = '', others = ''] = entry.split('=');
    if (names.includes(here) && others.split(',').includes(word)) meant ??= here;
  }
  if (meant === undefined) {
    const [nearest] = names.map((one) => ({ one, edits: slips(word, plain(one)) })).sort((a, b) => a.edits - b.edits);
    if (nearest && nearest.edits <= Math.max(2, nearest.one.length / 2)) meant = nearest.one;
  }
  return meant === undefined ? `It has ${names.join(', ')}.` : `Did you mean '${meant}'?`;
}

/** The edit distance of two words. */
function editsBetween(one: string, other: string): number {
  let row = [...other, ''].map((_, at) => at);
  for (const letter of one) {
    const next = [(row[0] ?? 0) + 1];
    for (const [at, expected] of [...other].entries()) {
      const changed = (row[at] ?? 0) + (letter === expected ? 0 : 1);
      next.push(Math.min(changed, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** The value under one of two names of an option. Throws `INVALID_ARGUMENT` where both are given. */
export function either<T>(options: { [name: string]: T | undefined }): T | undefined {
  const [first, second] = Object.entries(options).filter(([, value]) => value !== undefined);
  if (second) throw invalid(`'${first?.[0]}' and '${second[0]}' are the same option: give one of them.`);
  return first?.[1];
}

/** Texts that may be given as one. Throws `INVALID_ARGUMENT`, which calls them by `name`, for anything else. */
export function textsOf(given: string | Iterable<string> | undefined, name: string): string[] | undefined {
  if (given === undefined) return undefined;
  const texts =
    typeof given === 'string' || given instanceof String ? [`${given}`] : isIterable(given) ? [...given] : [given];
  if (texts.every((text) => typeof text === 'string')) return texts as string[];
  throw new XetError('INVALID_ARGUMENT', `${name} is a text or a list of texts.`);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}
