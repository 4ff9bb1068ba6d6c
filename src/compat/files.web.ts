import { XetError } from '../core/errors.ts';

/** Pages have no folders: what needs one says so, and what to do in its place. */
export function noFileSystem(name: string): never {
  throw new XetError(
    'UNSUPPORTED',
    `There is no file system here for ${name}(): read the file that downloadFile() gives.`,
  );
}

export async function needsFileSystem(name: string): Promise<never> {
  return noFileSystem(name);
}
