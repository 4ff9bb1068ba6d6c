import type { Output } from './output.ts';

export interface ServeCommand {
  dir: string | undefined;
  port: number;
  host: string;
  seed: string | undefined;
}

/** `xetkit serve`: the local Hub, until it is interrupted. */
export async function serve(command: ServeCommand, output: Output, signal: AbortSignal): Promise<void> {
  // The only command that needs the server: no other one pays for loading it.
  const { startLocalHub } = await import('../local-hub.ts');
  const hub = await startLocalHub({ dir: command.dir, port: command.port, host: command.host });
  try {
    if (command.seed !== undefined) {
      const repos = await hub.seed(command.seed);
      const changed = repos.filter((repo) => repo.changed).length;
      output.note(`${repos.length} repositories from ${command.seed}, ${changed} of them with something new`);
    }
    output.record({ url: hub.url, dir: hub.dir });
    output.result(`Local Hub at ${hub.url}, data in ${hub.dir}`);
    output.note(`Use it with: export HF_ENDPOINT=${hub.url}`);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    await hub.close();
  }
}
