/** A timer that is later than this did not run in time: the machine slept, or the process was suspended. */
const LATE_MS = 5_000;

let noticed = 0;
/** The clock of the day goes on while a machine sleeps; the other one may stand still with it. */
let lead: number | undefined;

/** Number of times that this process was found to have been suspended. */
export function standstills(): number {
  const now = Date.now() - performance.now();
  if (lead !== undefined && now - lead > LATE_MS) noticed++;
  lead = now;
  return noticed;
}

/** True if a timer fires long after it was due, which is a moment of `Date.now()`. */
export function isLate(dueMs: number): boolean {
  const late = Date.now() - dueMs > LATE_MS;
  if (!late) return false;
  const before = standstills();
  // A clock that also runs in sleep shows it by the timer only.
  noticed = Math.max(noticed, before + 1);
  return true;
}
