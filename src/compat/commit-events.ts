import type { Progress } from '../core/progress.ts';

export type CommitProgressEvent =
  | { event: 'phase'; phase: 'preuploading' | 'uploadingLargeFiles' | 'committing' }
  | { event: 'fileProgress'; path: string; progress: number; state: 'hashing' | 'uploading' | 'error' };

/** Tells of all files together in words made for one file each: a file is under way until another one is. */
export class CommitEvents {
  readonly #push: (event: CommitProgressEvent) => void;
  /** Files of which it is told that they are done. */
  readonly #told = new Set<string>();
  #current: string | undefined;
  #uploading = false;
  #committing = false;
  #before = 0;
  #progress = 0;

  constructor(push: (event: CommitProgressEvent) => void) {
    this.#push = push;
  }

  begin(): void {
    this.#push({ event: 'phase', phase: 'preuploading' });
  }

  told({ phase, current, bytes }: Pick<Progress, 'phase' | 'current' | 'bytes'>): void {
    if (!this.#uploading) {
      this.#uploading = true;
      this.#push({ event: 'phase', phase: 'uploadingLargeFiles' });
    }
    if (current !== this.#current) {
      this.#fileDone();
      this.#current = current;
      this.#before = bytes.done;
      this.#file(0);
    }
    // How large this file is nobody says: it takes no more than what is left of all.
    const left = bytes.total - this.#before;
    const share = left > 0 ? (bytes.done - this.#before) / left : 0;
    if (share > this.#progress && share < 1) this.#file(share);
    if (phase === 'committing' || phase === 'done') this.#commit();
  }

  /** All is there. Of files that were too quick to be told of, it is told now: programs count them. */
  finish(paths: readonly string[]): void {
    this.#commit();
    for (const path of paths) {
      if (this.#told.has(path)) continue;
      this.#current = path;
      this.#fileDone();
    }
  }

  #commit(): void {
    if (this.#committing) return;
    this.#committing = true;
    this.#fileDone();
    this.#push({ event: 'phase', phase: 'committing' });
  }

  #fileDone(): void {
    this.#file(1);
    if (this.#current !== undefined) this.#told.add(this.#current);
    this.#progress = 0;
  }

  #file(progress: number): void {
    if (this.#current === undefined) return;
    this.#progress = progress;
    this.#push({ event: 'fileProgress', path: this.#current, progress, state: 'uploading' });
  }
}
