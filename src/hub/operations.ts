/** One change of a commit. */
export type CommitLine =
  /** `id` is the git blob id of the content, which is in base64. */
  | { kind: 'file'; path: string; content: string; id: string }
  | { kind: 'lfsFile'; path: string; id: string; size: number }
  | { kind: 'deletedFile' | 'deletedFolder'; path: string };

/** A change as the Hub reads it: a line of JSON. `id` of a large file is its sha256. */
export function lineOf(operation: CommitLine): string {
  const { kind, path } = operation;
  if (kind === 'file') {
    return JSON.stringify({ key: kind, value: { content: operation.content, path, encoding: 'base64' } });
  }
  if (kind === 'lfsFile') {
    const { id: oid, size } = operation;
    return JSON.stringify({ key: kind, value: { path, algo: 'sha256', oid, size } });
  }
  return JSON.stringify({ key: kind, value: { path } });
}
