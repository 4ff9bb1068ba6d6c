import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { XetClientOptions } from '../client/options.ts';
import { XetClient } from '../client/xet-client.ts';
import { publicText, XetError } from '../core/errors.ts';
import { rememberSecret } from '../core/secrets.ts';
import { repoText } from '../hub/repo.ts';
import { type Counts, countingFetch } from './counting-fetch.ts';
import type { Output } from './output.ts';
import { tableLines } from './table.ts';
import type { Target } from './target.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** Calls of the package that xetkit is compared with. */
export interface OriginalPackage {
  downloadFile(params: {
    repo: Target['repo'];
    path: string;
    revision: string | undefined;
    hubUrl: string;
    accessToken: string | undefined;
    fetch: typeof fetch;
  }): Promise<Blob | null>;
}

export interface CompareCommand {
  target: Target;
  /** Paths in the repository; none for all of it. */
  files: string[];
  /** The Hub's address. */
  endpoint: string;
  accessToken: string | undefined;
  clientOptions: XetClientOptions;
  /** Undefined where it is not installed. */
  original: OriginalPackage | undefined;
}

/** Result of one client for one file. */
export interface Run {
  /** Lower-case hex, of what came; undefined if it failed. */
  sha256: string | undefined;
  /** Bytes of content. */
  size: number;
  seconds: number;
  network: Counts;
  /** Reason of its failure. */
  error: string | undefined;
}

export interface Compared {
  file: string;
  xetkit: Run;
  original: Run | undefined;
  /** Undefined where there is nothing to compare with. */
  same: boolean | undefined;
}

/**
 * `xetkit compare`: files of a repository by xetkit and by `@huggingface/hub`, one after the other. Nothing is written,
 * and nothing that is on this machine is used.
 */
export async function compare(command: CompareCommand, output: Output, signal: AbortSignal): Promise<void> {
  const { target, original } = command;
  rememberSecret(command.accessToken);
  const scratch = await mkdtemp(join(tmpdir(), 'xetkit-compare-'));
  if (!original)
    output.note('@huggingface/hub is not installed here: `npm install @huggingface/hub` to compare with it.');
  try {
    // In a folder of its own nothing is remembered of earlier downloads.
    const clientOptions = { ...command.clientOptions, chunkCache: { dir: scratch } };
    const compared: Compared[] = [];
    for (const [index, file] of (await filesOf(command, signal)).entries()) {
      signal.throwIfAborted();
      const byXetkit = () => runXetkit({ ...command, clientOptions }, file, signal);
      const byOriginal = async () => original && runOriginal(command, original, file, signal);
      // Whoever comes second finds a server that is warm, so they take turns.
      const xetkitFirst = index % 2 === 0;
      const first = xetkitFirst ? await byXetkit() : await byOriginal();
      const second = xetkitFirst ? await byOriginal() : await byXetkit();
      const [xetkit, other] = xetkitFirst ? [first, second] : [second, first];
      const one = judged(file, xetkit as Run, other);
      compared.push(one);
      output.record(recordOf(one));
    }
    report(compared, output);
    output.record({ summary: true, installed: original !== undefined, ...totals(compared) });
    failIfWrong(compared, repoText(target.repo));
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function filesOf({ target, files, clientOptions }: CompareCommand, signal: AbortSignal): Promise<string[]> {
  const named = target.path === undefined ? files : [target.path, ...files];
  if (named.length > 0) return named;
  await using client = new XetClient({ ...clientOptions, chunkCache: false });
  const all: string[] = [];
  const { repo, revision } = target;
  for await (const { type, path } of client.listFiles({ repo, revision, recursive: true, signal })) {
    if (type === 'file') all.push(path);
  }
  return all;
}

async function runXetkit(command: CompareCommand, path: string, signal: AbortSignal): Promise<Run> {
  const { repo, revision } = command.target;
  const counting = countingFetch();
  await using client = new XetClient({ ...command.clientOptions, fetch: counting.fetch });
  // The client must live until all is read.
  return await timed(counting.counts, signal, async () =>
    (await client.open({ repo, path, revision, signal })).stream({ signal }),
  );
}

async function runOriginal(
  { target, endpoint, accessToken }: CompareCommand,
  original: OriginalPackage,
  path: string,
  signal: AbortSignal,
): Promise<Run> {
  const { repo, revision } = target;
  const counting = countingFetch(signal);
  const params = { repo, path, revision, hubUrl: endpoint, accessToken, fetch: counting.fetch as typeof fetch };
  return timed(counting.counts, signal, async () => {
    const blob = await original.downloadFile(params);
    if (!blob) throw new Error('there is no such file');
    return blob.stream();
  });
}

/** Reads to the end and keeps nothing. A failure is a result; only an interrupt ends the command. */
async function timed(
  network: Counts,
  signal: AbortSignal,
  open: () => Promise<ReadableStream<Uint8Array>>,
): Promise<Run> {
  const started = performance.now();
  const hash = createHash('sha256');
  let size = 0;
  const seconds = () => (performance.now() - started) / 1000;
  try {
    for await (const bytes of await open()) {
      hash.update(bytes);
      size += bytes.length;
    }
    return { sha256: hash.digest('hex'), size, seconds: seconds(), network: { ...network }, error: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const reason = publicText(error instanceof Error ? error.message : String(error));
    return { sha256: undefined, size, seconds: seconds(), network: { ...network }, error: reason };
  }
}

/** Undefined if one of the clients failed. */
export function judged(file: string, xetkit: Run, original: Run | undefined): Compared {
  const both = xetkit.sha256 !== undefined && original?.sha256 !== undefined;
  return { file, xetkit, original, same: both ? xetkit.sha256 === original.sha256 : undefined };
}

function recordOf({ file, same, xetkit, original }: Compared) {
  const one = ({ sha256, seconds, network, error }: Run) => ({
    sha256: sha256 ?? null,
    seconds: rounded(seconds),
    network,
    ...(error !== undefined && { error }),
  });
  return {
    file,
    size: xetkit.size,
    same: same ?? null,
    xetkit: one(xetkit),
    original: original ? one(original) : null,
  };
}

/** Totals over the files that both clients fetched. */
export function totals(compared: readonly Compared[]) {
  const both = compared.filter(({ same }) => same !== undefined);
  const sum = (of: (one: Compared) => Run | undefined) => {
    const runs = both.flatMap((one) => of(one) ?? []);
    return {
      seconds: rounded(runs.reduce((total, { seconds }) => total + seconds, 0)),
      bytes: runs.reduce((total, { network }) => total + network.bytes, 0),
      requests: runs.reduce((total, { network }) => total + network.requests, 0),
    };
  };
  return {
    files: compared.length,
    same: both.filter(({ same }) => same).length,
    different: both.filter(({ same }) => !same).length,
    failed: {
      xetkit: compared.filter(({ xetkit }) => xetkit.error !== undefined).length,
      original: compared.filter(({ original }) => original?.error !== undefined).length,
    },
    xetkit: sum(({ xetkit }) => xetkit),
    original: sum(({ original }) => original),
  };
}

function report(compared: readonly Compared[], output: Output): void {
  const right = { right: true };
  const columns = [
    { title: 'FILE' },
    { title: 'SIZE', ...right },
    { title: 'SAME' },
    { title: 'XETKIT', ...right },
    { title: 'FETCHED', ...right },
    { title: '@HUGGINGFACE/HUB', ...right },
    { title: 'FETCHED', ...right },
  ];
  const cells = (run: Run | undefined) => {
    if (!run) return ['-', '-'];
    return [run.error === undefined ? formatDuration(run.seconds) : 'failed', formatBytes(run.network.bytes)];
  };
  const rows = compared.map(({ file, same, xetkit, original }) => [
    file,
    formatBytes(xetkit.size),
    same === undefined ? '-' : same ? 'yes' : 'NO',
    ...cells(xetkit),
    ...cells(original),
  ]);
  for (const line of tableLines(columns, rows)) output.result(line);
  for (const { file, xetkit, original } of compared) {
    if (xetkit.error !== undefined) output.note(`${file}: xetkit: ${xetkit.error}`);
    if (original?.error !== undefined) output.note(`${file}: @huggingface/hub: ${original.error}`);
  }
  const { files, same, xetkit, original } = totals(compared);
  if (compared.every((one) => one.original === undefined)) return;
  const of = (name: string, { seconds, bytes }: typeof xetkit) =>
    `${name} ${formatDuration(seconds)}, ${formatBytes(bytes)} fetched`;
  output.note(
    `${same} of ${formatCount(files, 'file')} the same; ${of('xetkit', xetkit)}; ${of('@huggingface/hub', original)}`,
  );
}

/** Wrong is what differs, or what xetkit cannot do; what the other cannot do is its own affair. */
function failIfWrong(compared: readonly Compared[], repo: string): void {
  const { different, failed } = totals(compared);
  if (different > 0) {
    throw new XetError(
      'INTEGRITY',
      `${formatCount(different, 'file')} of ${repo} came out differently; xetkit's are verified.`,
    );
  }
  if (failed.xetkit > 0)
    throw new XetError('SERVER', `xetkit could not fetch ${formatCount(failed.xetkit, 'file')} of ${repo}.`);
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
