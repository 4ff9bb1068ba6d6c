import type { BaseXetClient } from '../client/client.ts';
import { isXetError, XetError } from '../core/errors.ts';
import type { Metrics } from '../core/metrics.ts';
import { isFolder, nearMiss } from '../core/selection.ts';
import type { DownloadResult } from '../download/file.ts';
import { amended } from '../snapshot/contents.ts';
import { printable, some } from '../snapshot/names.ts';
import type {
  LeftOutFile,
  SnapshotFile,
  SnapshotOptions,
  SnapshotPreview,
  SnapshotResult,
  SnapshotSelection,
} from '../snapshot/snapshot.ts';
import type { Output } from './output.ts';
import type { Target } from './target.ts';
import { formatBytes, formatDuration } from './units.ts';

export interface DownloadCommand {
  target: Target;
  files: string[];
  include: string[] | undefined;
  exclude: string[] | undefined;
  localDir: string | undefined;
  force: boolean;
  offline: boolean;
  dryRun: boolean;
}

/** Client methods that the command uses. */
export interface Downloader extends Pick<BaseXetClient, 'downloadFile' | 'metrics' | 'listFiles'> {
  snapshot(options: SnapshotOptions): Promise<SnapshotResult>;
  planSnapshot(options: SnapshotSelection): Promise<SnapshotPreview>;
}

/** `xetkit download`: some files, or all that the patterns select; or what that would do. */
export async function download(
  client: Downloader,
  command: DownloadCommand,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const { target, include, exclude, localDir, force, offline } = command;
  const { repo, revision } = target;
  const named = target.path === undefined ? command.files : [target.path, ...command.files];
  const single = named.length === 1 && !isFolder(named[0] ?? '') ? named[0] : undefined;
  tellUnused(named, { include, exclude }, output);

  const selection: SnapshotSelection = {
    repo,
    revision,
    ...(named.length > 0 && { files: named }),
    allowPatterns: include,
    ignorePatterns: exclude,
    localDir,
    force,
    offline,
    signal,
  };
  if (command.dryRun) {
    preview(await client.planSnapshot(selection), started, output);
    return;
  }
  // A person is told of the files that were named, or of the folder that holds them all.
  const namesOnly = named.length > 0 && !named.some(isFolder);
  const onProgress = output.progress.bind(output);
  try {
    if (single !== undefined && !offline) {
      // One request says all about one file; what it belongs to need not be looked at.
      const result = await client
        .downloadFile({ repo, revision, path: single, localDir, force, signal, onProgress })
        .catch((error) => explainMissing(client, command, single, error, signal));
      report(result, output);
      output.result(result.localPath);
      summarise([result], {}, client.metrics().requests, started, output);
    } else {
      const onFile = (result: SnapshotFile) => {
        report(result, output);
        if (namesOnly) output.result(result.localPath);
      };
      const { folder, commit, files, leftOut } = await client.snapshot({ ...selection, onProgress, onFile });
      if (!namesOnly) output.result(folder);
      summarise(files, { folder, commit }, client.metrics().requests, started, output);
      failFor(leftOut, output);
    }
  } finally {
    output.end();
  }
}

/** The error, with the name that was probably meant: one listing more, only where something has failed already. */
async function explainMissing(
  client: Downloader,
  { target: { repo, revision } }: DownloadCommand,
  name: string,
  error: unknown,
  signal: AbortSignal,
): Promise<never> {
  if (!isXetError(error, 'ENTRY_NOT_FOUND')) throw error;
  const paths: string[] = [];
  try {
    for await (const { type, path } of client.listFiles({ repo, revision, recursive: true, signal })) {
      if (type === 'file') paths.push(path);
      if (paths.length >= MAX_LISTED) break;
    }
  } catch {
    // The first error says more.
    throw error;
  }
  const hint = nearMiss(name, paths);
  throw hint === undefined ? error : amended(error, `${error.message} '${printable(name)}': ${hint}.`);
}

/** As many as the Hub lists on one page. */
const MAX_LISTED = 1000;

/** As `hf` does: a file that is named is taken, whatever the patterns say. */
function tellUnused(
  named: string[],
  { include = [], exclude = [] }: { include: string[] | undefined; exclude: string[] | undefined },
  output: Output,
): void {
  if (named.every(isFolder)) return;
  const unused = [...(include.length > 0 ? ['--include'] : []), ...(exclude.length > 0 ? ['--exclude'] : [])];
  if (unused.length > 0) output.note(`warning: files that are named are taken in spite of ${unused.join(' and ')}.`);
}

function report(result: DownloadResult, output: Output): void {
  const { path, localPath, size, xetHash, etag, verified, bytes, requests, seconds } = result;
  output.record({
    path,
    localPath,
    size,
    xetHash: xetHash ?? null,
    etag,
    verified,
    bytes,
    requests,
    seconds: round(seconds),
  });
}

/** Files that could not be stored make the command fail, even if all others are in place. */
function failFor(leftOut: readonly LeftOutFile[], output: Output): void {
  if (leftOut.length === 0) return;
  for (const { path, reason } of leftOut) output.record({ path, leftOut: reason });
  const names = leftOut.map(({ path, reason }) => `'${printable(path)}' (${printable(reason)})`);
  throw new XetError(
    'UNSUPPORTED',
    `Left out, as this system cannot store ${leftOut.length === 1 ? 'its name' : 'their names'}: ${some(names, 10)}. ` +
      'Everything else is in place.',
  );
}

function preview(plan: SnapshotPreview, started: number, output: Output): void {
  const { folder, commit, files, totals, warnings } = plan;
  for (const { path, localPath, size, held, xetHash } of files) {
    output.record({ path, localPath: localPath ?? null, size, held, xetHash: xetHash ?? null });
    output.result(`${formatBytes(size).padStart(9)}  ${held ? 'held ' : 'fetch'}  ${path}`);
  }
  output.record({
    summary: true,
    dryRun: true,
    files: totals.files,
    heldFiles: totals.heldFiles,
    fetchFiles: totals.fetchFiles,
    bytes: { total: totals.bytes, held: totals.heldBytes, fetch: totals.fetchBytes },
    folder,
    commit,
    warnings,
    leftOut: plan.leftOut,
    seconds: round((performance.now() - started) / 1000),
  });
  output.result(
    `${counted(totals.files)}, ${formatBytes(totals.bytes)}: ${totals.heldFiles} held (${formatBytes(totals.heldBytes)}), ` +
      `${totals.fetchFiles} to fetch (${formatBytes(totals.fetchBytes)}), at commit ${commit}`,
  );
}

function summarise(
  results: Pick<DownloadResult, 'size' | 'bytes'>[],
  where: { folder?: string; commit?: string },
  requests: Metrics['requests'],
  started: number,
  output: Output,
): void {
  const seconds = (performance.now() - started) / 1000;
  const sum = (of: (result: Pick<DownloadResult, 'size' | 'bytes'>) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const bytes = {
    network: sum((result) => result.bytes.network),
    cache: sum((result) => result.bytes.cache),
    local: sum((result) => result.bytes.local),
  };
  output.record({
    summary: true,
    files: results.length,
    bytes,
    requests: Object.values(requests).reduce((total, count) => total + count, 0),
    seconds: round(seconds),
    ...where,
  });
  const size = sum((result) => result.size);
  const here = bytes.local + bytes.cache;
  output.note(
    `${counted(results.length)}, ${formatBytes(size)}, verified, in ${formatDuration(seconds)} ` +
      `(${formatBytes(size / seconds)}/s; ${formatBytes(bytes.network)} over the network${here > 0 ? `, ${formatBytes(here)} already here` : ''})`,
  );
}

function counted(files: number): string {
  return `${files} ${files === 1 ? 'file' : 'files'}`;
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
