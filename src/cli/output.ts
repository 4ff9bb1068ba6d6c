import { SingleBar } from 'cli-progress';
import type { Progress } from '../progress.ts';
import { saysYes } from './environment.ts';
import { isStdoutLost, writeError, writeOut } from './streams.ts';
import { formatBytes, formatDuration } from './units.ts';

export interface OutputOptions {
  json?: boolean | undefined;
  quiet?: boolean | undefined;
}

/**
 * What the command says: results on stdout, everything for people on stderr. The bar exists only on a
 * terminal; elsewhere a line now and then tells the same.
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
    if (this.#json) writeOut(`${JSON.stringify(object)}\n`);
  }

  /** A result for people, on stdout. */
  result(line: string): void {
    const { isTTY } = process.stdout;
    if (isTTY) this.#clearBar();
    // A program gets the names as they are.
    if (!this.#json) writeOut(`${isTTY ? plainText(line) : line}\n`);
  }

  /** A remark for people. */
  note(line: string): void {
    if (this.#quiet || isStdoutLost()) return;
    this.#clearBar();
    writeError(`${plainText(line)}\n`);
  }

  progress(progress: Progress): void {
    if (this.#quiet || saysYes('HF_HUB_DISABLE_PROGRESS_BARS')) return;
    if (process.stderr.isTTY) this.#drawBar(progress);
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

/** Text with nothing in it that would steer a terminal: names of files are chosen by others. */
export function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => (char === '\n' || char === '\t' ? char : '\ufffd'));
}

function fields(progress: Progress) {
  const { files, bytes, current, bytesPerSecond, etaSeconds } = progress;
  const name = files.total === 1 ? plainText(current ?? '') : `${files.done}/${files.total} files`;
  return {
    name: name.length > 32 ? `…${name.slice(-31)}` : name,
    percent: `${bytes.total === 0 ? 100 : Math.floor((bytes.done / bytes.total) * 100)}%`,
    done: formatBytes(bytes.done),
    all: formatBytes(bytes.total),
    rate: bytesPerSecond > 0 ? `${formatBytes(bytesPerSecond)}/s` : '',
    eta_text: etaSeconds === undefined || etaSeconds === 0 ? '' : `${formatDuration(etaSeconds)} left`,
  };
}
