import type { VerifiedFiles } from './verified-files.ts';

/** Without a file system, no file is known. */
export function memoryVerifiedFiles(): VerifiedFiles {
  return {
    remember: async () => {},
    check: async () => undefined,
    pathsOf: async () => [],
    forget: async () => {},
    usage: async () => ({ bytes: 0, files: 0 }),
    clear: async () => {},
  };
}
