import { checkedKnown, shown } from '../core/arguments.ts';
import { XetError } from '../core/errors.ts';

const HUB = 'hubUrl:e fetch:f accessToken:s credentials:o signal:g abortSignal:g';
const REPO = `${HUB} repo:r!`;
const FILE = `${REPO} path:s! revision:s`;
const COMMIT = `${REPO} branch:s parentCommit:s isPullRequest:b commitTitle:s commitDescription:s useXet:b`;
const PATTERNS = 'allowPatterns:l ignorePatterns:l cacheDir:s localDir:s revision:s';

/** Parameters by call, in the form of `core/arguments`. */
const PARAMETERS: Record<string, string> = {
  downloadFile: `${FILE} raw:b downloadInfo:o`,
  fileDownloadInfo: `${FILE} raw:b`,
  fileExists: FILE,
  listFiles: `${REPO} path:s revision:s recursive:b expand:b`,
  pathsInfo: `${REPO} paths:l! revision:s expand:b`,
  uploadFile: `${COMMIT} file:a!`,
  uploadFiles: `${COMMIT} files:a!`,
  uploadFilesWithProgress: `${COMMIT} files:a!`,
  commit: `${COMMIT} title:s! description:s operations:a!`,
  deleteFile: `${COMMIT} path:s!`,
  deleteFiles: `${COMMIT} paths:l!`,
  createRepo: `${REPO} visibility:s private:b license:s resourceGroupId:s sdk:s`,
  deleteRepo: REPO,
  createBranch: `${REPO} branch:s! revision:s empty:b overwrite:b`,
  deleteBranch: `${REPO} branch:s!`,
  repoExists: `${REPO} revision:s`,
  checkRepoAccess: REPO,
  whoAmI: HUB,
  listCommits: `${REPO} revision:s batchSize:n`,
  downloadFileToCacheDir: `${FILE} raw:b cacheDir:s`,
  snapshotDownload: `${HUB} ${PATTERNS} repo:r repoId:s`,
  hfHubDownload: `${HUB} cacheDir:s localDir:s revision:s subfolder:s repoId:s! filename:s!`,
};

/**
 * Checks the parameters of a call, and returns them without those that are null, which count as absent there too. Names that
 * only `@huggingface/hub` knows are left alone.
 *
 * @throws {XetError} `INVALID_ARGUMENT` for what is missing or of a wrong type
 */
export function checkParameters<P>(call: string, given: P): P {
  const table = PARAMETERS[call];
  if (table === undefined) return given;
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return checkedKnown(call, given as P & object, table);
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  checkedKnown(call, present, table);
  return present as P;
}

/** Checks the path of a local folder. @throws {XetError} `INVALID_ARGUMENT` for anything but text */
export function checkFolderPath(call: string, given: unknown): void {
  if (typeof given === 'string' && given !== '') return;
  throw new XetError('INVALID_ARGUMENT', `${call} takes the path of a folder, not ${shown(given)}.`);
}
