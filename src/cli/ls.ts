import type { BaseXetClient } from '../client/client.ts';
import type { Output } from './output.ts';
import type { Target } from './target.ts';
import { formatBytes } from './units.ts';

/** `xetkit ls`: what a repository or a folder of it holds. */
export async function ls(
  client: BaseXetClient,
  target: Target & { recursive: boolean },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { repo, revision, path, recursive } = target;
  for await (const entry of client.listFiles({ repo, revision, path, recursive, signal })) {
    const { type, size, oid, xetHash } = entry;
    output.record({ path: entry.path, type, size, oid, xetHash: xetHash ?? null });
    output.result(
      type === 'directory' ? `${'-'.padStart(9)}  ${entry.path}/` : `${formatBytes(size).padStart(9)}  ${entry.path}`,
    );
  }
}
