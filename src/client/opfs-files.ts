import { openOpfsStore } from '../files/opfs/opfs-store.ts';
import { fileBackend } from './file-backend.ts';

/**
 * Lets a page download files and whole snapshots into its own storage, the origin private file system:
 * `new XetClient({ files: opfsFiles })`, and `localDir` names a folder in it.
 */
export const opfsFiles = /* @__PURE__ */ fileBackend(openOpfsStore);
