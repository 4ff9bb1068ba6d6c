import type { UploadContent } from './gather.ts';
import type { UploadOptions } from './upload-types.ts';

/** A replacement of the bytes `start` (included) to `end` (excluded) of a file; `start === end` inserts. */
export interface FileEdit {
  /** First replaced byte, in the file before all edits. */
  start: number;
  /** First byte after the replaced ones. */
  end: number;
  /** New bytes: a Blob, bytes, a stream, or in Node, Deno and Bun a local path. Default: none, which deletes. */
  content?: UploadContent;
}

/** Options of `append`. */
export interface AppendOptions
  extends Pick<UploadOptions, 'repo' | 'branch' | 'title' | 'description' | 'parentCommit' | 'createPr' | 'signal'> {
  /** Path of the file in the repository. It must exist. */
  path: string;
  /** Bytes to add at the end. */
  content: UploadContent;
}

/** Options of `edit`. */
export interface EditOptions extends Omit<AppendOptions, 'content'> {
  /** Edits in any order, apart from each other. An edit that reaches the end of the file without content truncates it. */
  edits: readonly FileEdit[];
}
