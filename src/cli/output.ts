import { SingleBar } from 'cli-progress';
import type { Progress } from '../core/progress.ts';
import { withoutSecrets } from '../core/secrets.ts';
import { isTrue } from '../fs/env-folders.node.ts';
import { isStdoutLost, writeError, writeOut } from './streams.ts';
import { formatBytes, formatDuration } from './units.ts';

export interface OutputOptions {
  json?: boolean | undefined;
  quiet?: boolean | undefined;
}

/**
 * Output of the command: results on stdout, messages and progress on stderr. The progress bar appears only on a
 * terminal; elsewhere a line is printed every few seconds.
 */
export class Output {
  readonly #json: boolean;
  readonly #quiet: boolean;
  #bar: SingleBar | undefined;
  #lastLine = 0;

  constructor({ json = false, quiet = false }: OutputOptions) {
    this.#json = json;
    this.#quiet = quiet;
  }

  get json(): boolean {
    return this.#json;
  }

  /** One object on a line of stdout, with `--json`. */
  record(object: unknown): void {
    if (this.#json)
      writeOut(`${plainJson(object)}
`);
  }

  /** A result for people, on stdout. */
  result(line: string): void {
    if (process.stdout.isTTY) this.#clearBar();
    // Also for programs: a line feed in a name would make two results of one. JSON has the names as they are.
    if (!this.#json)
      writeOut(`${plainText(line, { isResult: true })}
`);
  }

  /** A remark for people. */
  note(line: string): void {
    if (this.#quiet || isStdoutLost()) return;
    this.#clearBar();
    writeError(`${plainText(line)}\n`);
  }

  progress(progress: Progress): void {
    if (this.#quiet || isTrue(process.env.HF_HUB_DISABLE_PROGRESS_BARS)) return;
    if (process.stderr.isTTY && process.env.TERM !== 'dumb') this.#drawBar(progress);
    else this.#plainLine(progress);
  }

  #drawBar(progress: Progress): void {
    const { done, total } = progress.bytes;
    if (!this.#bar) {
      this.#bar = new SingleBar({
        format: '{name} {bar} {percent} {done}/{all}  {rate}  {eta_text}',
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        stream: process.stderr,
        fps: 10,
        noTTYOutput: false,
        emptyOnZero: true,
      });
      this.#bar.start(Math.max(total, 1), 0, fields(progress));
    }
    this.#bar.update(total === 0 ? 1 : done, fields(progress));
    if (progress.phase === 'done') this.#clearBar();
  }

  #clearBar(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #plainLine(progress: Progress): void {
    const now = performance.now();
    if (this.#lastLine !== 0 && now - this.#lastLine < 5000) return;
    if (this.#lastLine === 0) {
      this.#lastLine = now;
      return;
    }
    this.#lastLine = now;
    const { name, percent, done, all, rate, eta_text: eta } = fields(progress);
    writeError(`${name} ${percent} ${done}/${all} ${rate} ${eta}\n`);
  }

  end(): void {
    this.#clearBar();
  }
}

/** More than any message has; what is longer was made so by somebody. */
const MAX_CHARACTERS = 16_384;
/** Characters that control a terminal or are invisible: controls, line breaks and category Cf, which includes bidirectional overrides. */
const UNSEEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
/** In an emoji it joins two others. */
const JOINER = /(\p{Extended_Pictographic}\ufe0f?)\u200d(?=\p{Extended_Pictographic})/gu;

/** A line as it may be shown: no credentials, and nothing that would steer a terminal, as names and words of errors are chosen by others. @param isResult of names, mostly */
export function plainText(text: string, { isResult = false } = {}): string {
  const cut = text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
  return withoutSecrets(cut.replace(JOINER, '$1\ue000'), isResult)
    .replace(UNSEEN, '\ufffd')
    .replaceAll('\ue000', '\u200d');
}

/** The same of several lines of our own making. */
export function plainLines(text: string): string {
  return text
    .split('\n')
    .map((line) => plainText(line))
    .join('\n');
}

/** JSON on one line, with escapes for all that would steer a terminal. */
export function plainJson(value: unknown): string {
  const hex = (unit: number) => `\\u${unit.toString(16).padStart(4, '0')}`;
  const escaped = (char: string) => Array.from({ length: char.length }, (_, at) => hex(char.charCodeAt(at))).join('');
  return withoutSecrets(JSON.stringify(value), true).replace(UNSEEN, escaped);
}

function fields(progress: Progress) {
  const { files, bytes, current, bytesPerSecond, etaSeconds, waiting } = progress;
  const name = files.total === 1 ? plainText(current ?? '', { isResult: true }) : `${files.done}/${files.total} files`;
  return {
    name: name.length > 32 ? `…${name.slice(-31)}` : name,
    percent: `${bytes.total === 0 ? 100 : Math.floor((bytes.done / bytes.total) * 100)}%`,
    done: formatBytes(bytes.done),
    all: formatBytes(bytes.total),
    rate: bytesPerSecond > 0 && !waiting ? `${formatBytes(bytesPerSecond)}/s` : '',
    eta_text: waiting
      ? 'waiting for the network'
      : etaSeconds === undefined || etaSeconds === 0
        ? ''
        : `${formatDuration(etaSeconds)} left`,
  };
}
