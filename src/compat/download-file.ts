import { openResolved } from '../client/reader.ts';
import type { CasAccess } from '../hub/token.ts';
import type { XetFile } from '../read/xet-file.ts';
import type { ClientSettings } from './clients.ts';
import { clientsOf } from './clients.ts';
import { hubUrlOf, type RequestParams } from './compat-http.ts';
import { fileOfInfo, findFile } from './file-info.ts';
import { LazyBlob } from './lazy-blob.ts';
import type { CompatPlatform } from './platform.ts';
import {
  type FileDownloadInfoOutput,
  type FileParams,
  type ParallelDownloadOptions,
  tokenOf,
  type XetReadToken,
} from './types.ts';

export type DownloadFileParams = FileParams &
  RequestParams & {
    /** Fetches the content that git stores; for a large file, its pointer. */
    raw?: boolean;
    /** False takes the file over plain HTTP. With a `readToken` the CAS is asked with that. Default: true. */
    xet?: boolean | { readToken: XetReadToken };
    /** Result of {@link fileDownloadInfo}, which saves a request. */
    downloadInfo?: FileDownloadInfoOutput;
    /** False fetches one range at a time. Default: true. */
    parallelDownloads?: boolean | ParallelDownloadOptions;
  };

/** A memory budget below this would be none. */
const MIN_BUDGET_BYTES = 16 * 1024 * 1024;
const REFRESH_EARLY_MS = 60_000;

/** A file as a `Blob` that is fetched when it is read, and verified; null where there is none. */
export async function downloadFile(platform: CompatPlatform, params: DownloadFileParams): Promise<Blob | null> {
  const { downloadInfo, signal, xet = true } = params;
  const file = downloadInfo ? fileOfInfo(params, downloadInfo) : (await findFile(platform, params))?.file;
  if (!file) return null;
  const settings = settingsOf(platform, params);
  const access = typeof xet === 'object' && file.xetHash !== undefined ? accessOf(xet.readToken) : undefined;
  let opened: { by: object; file: XetFile } | undefined;
  return new LazyBlob({
    size: file.size,
    signal,
    open: () => {
      const { client, release } = clientsOf(platform).hold(settingsFor(settings, file.url));
      // Reads of one file share what they fetch, for as long as its client lives.
      if (opened?.by !== client) opened = { by: client, file: openResolved(client, file, access) };
      return { file: opened.file, release };
    },
  });
}

/** The client that a call is made with. */
export function settingsOf(platform: CompatPlatform, params: DownloadFileParams): ClientSettings {
  const { parallelDownloads = true, xet = true } = params;
  const limits = typeof parallelDownloads === 'object' ? parallelDownloads : {};
  const { maxConcurrency, maxInFlightBytes } = limits;
  return {
    endpoint: hubUrlOf(params),
    // None is none: what the environment has is not sent unasked.
    accessToken: tokenOf(params) ?? '',
    fetch: params.fetch,
    xet: xet !== false && !platform.switches().xetDisabled,
    concurrency: parallelDownloads === false ? 1 : maxConcurrency && Math.max(1, Math.trunc(maxConcurrency)),
    memoryBudget: maxInFlightBytes === undefined ? undefined : Math.max(MIN_BUDGET_BYTES, maxInFlightBytes),
  };
}

/** The token goes to the Hub only; an address elsewhere, as `downloadInfo` may have, is asked without. */
function settingsFor(settings: ClientSettings, url: string): ClientSettings {
  const { endpoint = '' } = settings;
  return new URL(url).origin === new URL(endpoint).origin ? settings : { ...settings, accessToken: '' };
}

function accessOf({ accessToken, casUrl, exp }: XetReadToken): CasAccess {
  return { accessToken, casUrl: casUrl.replace(/\/+$/, ''), refreshAtMs: exp * 1000 - REFRESH_EARLY_MS };
}
