/** Outcome of a case; without an error it passed. */
export interface Outcome {
  name: string;
  error?: string;
}

export interface RunOptions {
  /** Runs before each case. */
  before?: () => Promise<void>;
  /** Called after each case. */
  onOutcome?: (outcome: Outcome, count: number) => void;
}

/** Runs cases one after the other. An unhandled rejection fails the case during which it occurs. */
export async function runCases(
  cases: Iterable<[name: string, run: () => Promise<void>]>,
  { before, onOutcome }: RunOptions = {},
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const unhandled: string[] = [];
  addEventListener('unhandledrejection', ({ reason }) => unhandled.push(textOf(reason)));
  for (const [name, run] of cases) {
    const outcome: Outcome = { name };
    try {
      await before?.();
      await run();
    } catch (error) {
      outcome.error = textOf(error);
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (unhandled.length > 0) outcome.error = `${outcome.error ?? ''}\nunhandled: ${unhandled.splice(0).join('; ')}`;
    outcomes.push(outcome);
    onOutcome?.(outcome, outcomes.length);
  }
  return outcomes;
}

/** Sends the outcomes to the site that served this page. */
export async function report(outcomes: Outcome[]): Promise<void> {
  const run = new URLSearchParams(location.search).get('run') ?? '';
  await fetch(`/report?${new URLSearchParams({ run })}`, { method: 'POST', body: JSON.stringify(outcomes) });
}

export function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error);
}
