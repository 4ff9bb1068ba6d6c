import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';

/** Whoever can be asked before something is removed. */
export interface Confirm {
  /** True if a person can answer a question. */
  possible(): boolean;
  /** Asks a yes/no question; true for yes. */
  ask(question: string, signal: AbortSignal): Promise<boolean>;
}

export const onTerminal: Confirm = {
  possible: () => process.stdin.isTTY === true && process.stderr.isTTY === true,
  ask: (question, signal) => askFor(process.stdin, process.stderr, question, signal),
};

/** Asks for a yes. No answer, because the input is over, is none. */
export async function askFor(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  question: string,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  // The terminal itself edits the line, so that Ctrl-C is what it is everywhere else.
  const lines = createInterface({ input, output, terminal: false });
  try {
    const over = once(lines, 'close', { signal }).then(() => '');
    const answer = await Promise.race([lines.question(`${question} [y/N] `, { signal }), over]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
