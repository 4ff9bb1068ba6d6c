import { XetError } from '../core/errors.ts';
import type { FileSystemCalls } from './file-system.ts';

/** Pages have no folders: what needs one says so, and what to do in its place. */
function noFileSystem(name: string): never {
  throw new XetError(
    'UNSUPPORTED',
    `There is no file system here for ${name}(): read the file that downloadFile() gives.`,
  );
}

async function needsFileSystem(name: string): Promise<never> {
  return noFileSystem(name);
}

/** A file in the Hub cache folder, verified; fetched if it is not there. Gives its path. Node, Deno and Bun only. */
export const downloadFileToCacheDir: FileSystemCalls['downloadFileToCacheDir'] = () =>
  needsFileSystem('downloadFileToCacheDir');
/**
 * A whole repository at one commit, or what patterns select of it. Gives the folder. Takes the words of
 * `@huggingface/hub` (`repo`), and those of Python (`repoId`). Node, Deno and Bun only.
 */
export const snapshotDownload: FileSystemCalls['snapshotDownload'] = () => needsFileSystem('snapshotDownload');
/** One file in the words of Python's `hf_hub_download`. Gives its path. Node, Deno and Bun only. */
export const hfHubDownload: FileSystemCalls['hfHubDownload'] = () => needsFileSystem('hfHubDownload');
/** Contents of the Hub cache folder. Node, Deno and Bun only. */
export const scanCacheDir: FileSystemCalls['scanCacheDir'] = () => needsFileSystem('scanCacheDir');
/** One repository in the Hub cache folder, by its path. Node, Deno and Bun only. */
export const scanCachedRepo: FileSystemCalls['scanCachedRepo'] = () => needsFileSystem('scanCachedRepo');
/** The Hub cache folder, as the environment says. Node, Deno and Bun only. */
export const getHFHubCachePath: FileSystemCalls['getHFHubCachePath'] = () => noFileSystem('getHFHubCachePath');
