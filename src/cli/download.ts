import type { BaseXetClient, DownloadResult } from '../client.ts';
import { XetError } from '../errors.ts';
import { repoText } from '../hub/repo.ts';
import type { Metrics } from '../metrics.ts';
import { ProgressMeter } from '../progress.ts';
import { selectPaths } from '../repo/patterns.ts';
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
}

/** Files that are under way at once: enough that small ones do not wait for each other. */
const FILES_AT_ONCE = 8;

interface Wanted {
  path: string;
  size: number;
}

/** `xetkit download`: some files, or all that the patterns select. */
export async function download(
  client: BaseXetClient,
  command: DownloadCommand,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const wanted = await wantedFiles(client, command, signal);
  const meter = new ProgressMeter(
    { files: wanted.length, bytes: wanted.reduce((sum, { size }) => sum + size, 0) },
    (progress) => output.progress(progress),
  );
  const results: DownloadResult[] = [];
  const queue = wanted.values();
  const failed = new AbortController();
  const runner = async () => {
    for (const file of queue) {
      const result = await downloadOne(client, command, file, meter, AbortSignal.any([signal, failed.signal]));
      results.push(result);
      report(file.path, result, output);
    }
  };
  try {
    await Promise.all(
      Array.from({ length: FILES_AT_ONCE }, () =>
        runner().catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      ),
    );
  } finally {
    output.end();
  }
  summarise(results, client.metrics().requests, (performance.now() - started) / 1000, output);
}

async function wantedFiles(client: BaseXetClient, command: DownloadCommand, signal: AbortSignal): Promise<Wanted[]> {
  const { target, include, exclude } = command;
  const { repo, revision } = target;
  const named = target.path === undefined ? command.files : [target.path, ...command.files];
  const folders = named.filter((path) => path.endsWith('/'));
  if (named.length > 0 && folders.length === 0) {
    return Promise.all(named.map(async (path) => client.fileInfo({ repo, revision, path, signal })));
  }
  const all: Wanted[] = [];
  for await (const entry of client.listFiles({ repo, revision, recursive: true, signal })) {
    if (entry.type === 'file') all.push({ path: entry.path, size: entry.size });
  }
  const allow = named.length > 0 ? [...named, ...(include ?? [])] : include;
  const selected = selectPaths(all, ({ path }) => path, { allow, ignore: exclude });
  if (selected.length === 0) {
    const asked = [...(allow ?? []), ...(exclude ?? []).map((pattern) => `not ${pattern}`)].join(', ');
    throw new XetError(
      'ENTRY_NOT_FOUND',
      `Nothing to download: of the ${all.length} files of ${repoText(repo)} none matches${asked === '' ? '' : ` (${asked})`}.`,
    );
  }
  return selected;
}

async function downloadOne(
  client: BaseXetClient,
  { target, localDir, force }: DownloadCommand,
  file: Wanted,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<DownloadResult> {
  let bytes = 0;
  let network = 0;
  const { repo, revision } = target;
  const result = await client.downloadFile({
    repo,
    revision,
    path: file.path,
    localDir,
    force,
    signal,
    onProgress: (progress) => {
      meter.network(progress.network.bytes - network);
      network = progress.network.bytes;
      meter.content(progress.bytes.done - bytes, file.path);
      bytes = progress.bytes.done;
    },
  });
  meter.fileDone();
  return result;
}

function report(file: string, result: DownloadResult, output: Output): void {
  const { path, size, xetHash, etag, verified, bytes, requests, seconds } = result;
  output.record({
    file,
    path,
    size,
    xetHash: xetHash ?? null,
    etag,
    verified,
    bytes,
    requests,
    seconds: round(seconds),
  });
  output.result(path);
}

function summarise(results: DownloadResult[], requests: Metrics['requests'], seconds: number, output: Output): void {
  const sum = (of: (result: DownloadResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const bytes = {
    network: sum((result) => result.bytes.network),
    cache: sum((result) => result.bytes.cache),
    local: sum((result) => result.bytes.local),
  };
  output.record({
    summary: true,
    files: results.length,
    bytes,
    requests: requests.hub + requests.cas + requests.xorb,
    seconds: round(seconds),
  });
  const size = sum((result) => result.size);
  const here = bytes.local + bytes.cache;
  output.note(
    `${results.length} ${results.length === 1 ? 'file' : 'files'}, ${formatBytes(size)}, verified, in ${formatDuration(seconds)} ` +
      `(${formatBytes(size / seconds)}/s; ${formatBytes(bytes.network)} over the network${here > 0 ? `, ${formatBytes(here)} already here` : ''})`,
  );
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
