import { XetError } from '../core/errors.ts';

export { formatBytes } from '../core/format-bytes.ts';

const UNITS = { '': 1, k: 1e3, m: 1e6, g: 1e9, ki: 1024, mi: 1024 ** 2, gi: 1024 ** 3 } as const;

/** Bytes from text such as `64MB`, `64MiB` or `67108864`. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(k|m|g|ki|mi|gi)?b?$/i.exec(text.trim());
  if (!match) throw new XetError('INVALID_ARGUMENT', `Not a size: '${text}'. Write it like 64MB or 64MiB.`);
  const unit = (match[2]?.toLowerCase() ?? '') as keyof typeof UNITS;
  const bytes = Math.round(Number(match[1]) * UNITS[unit]);
  if (!Number.isSafeInteger(bytes))
    throw new XetError('INVALID_ARGUMENT', `'${text}' is more bytes than can be counted.`);
  return bytes;
}

export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Formats a past time as an age, or as a date if that is clearer. Both times in milliseconds since 1970. */
export function formatAgo(time: number, now: number): string {
  const age = now - time;
  if (age < 1.5 * MINUTE_MS) return 'just now';
  if (age < 1.5 * HOUR_MS) return `${Math.round(age / MINUTE_MS)} min ago`;
  if (age < 1.5 * DAY_MS) return `${Math.round(age / HOUR_MS)} h ago`;
  if (age < 60 * DAY_MS) return `${Math.round(age / DAY_MS)} days ago`;
  return new Date(time).toISOString().slice(0, 10);
}

/** A number of things: `1 file`, `2 files`. */
export function formatCount(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** Timers hold no longer time. */
const MAX_SECONDS = 2_000_000;

export const TIMEOUT_HELP = 'longest wait for a silent server (default: 20)';

/** Seconds as milliseconds. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= MAX_SECONDS) return seconds * 1000;
  throw new XetError('INVALID_ARGUMENT', `Not a number of seconds up to ${MAX_SECONDS}: '${text}'.`);
}

/** A folder that an option names. An empty one is a variable that was never set, and would be the working folder. */
export function folderOf(option: string): (text: string) => string {
  return (text) => {
    if (text !== '') return text;
    throw new XetError('INVALID_ARGUMENT', `${option} is empty. Name a folder, or leave the option out.`);
  };
}
