/** A file that is here at a commit, known without asking a server. */
export interface HeldFile {
  path: string;
  size: number;
  etag: string;
}
