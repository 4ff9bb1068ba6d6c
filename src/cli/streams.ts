let stdoutFailed = false;
let stderrFailed = false;

/** The exit code that shells give for SIGPIPE. */
const BROKEN_PIPE = 141;

/**
 * Runs a command whose reader may leave at any time. The signal aborts when stdout takes nothing more: a closed pipe ends the
 * command quietly, anything else with a line on stderr. Losing stderr only means that nobody is told.
 */
export async function withStreams(command: (lost: AbortSignal) => Promise<number>): Promise<number> {
  const lost = new AbortController();
  process.stdout.on('error', (error) => {
    stdoutFailed = true;
    lost.abort(error);
  });
  process.stderr.on('error', () => {
    stderrFailed = true;
  });
  const code = await command(lost.signal);
  // A failed write is reported only after it was made.
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  if (!lost.signal.aborted) return code;
  const reason: NodeJS.ErrnoException = lost.signal.reason;
  if (reason.code === 'EPIPE') return BROKEN_PIPE;
  writeError(`xetkit: Cannot write to stdout: ${reason.message}.\n`);
  return 1;
}

/** True if stdout takes nothing more. */
export function isStdoutLost(): boolean {
  // Known at once to the stream, which tells its listeners only later.
  return stdoutFailed || process.stdout.errored != null;
}

/** Writes to stdout, as long as it takes anything. */
export function writeOut(text: string): void {
  if (!isStdoutLost()) process.stdout.write(text);
}

/** Writes to stderr, as long as it takes anything. */
export function writeError(text: string): void {
  if (!stderrFailed) process.stderr.write(text);
}
