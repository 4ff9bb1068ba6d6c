import { type Remote, wrap } from 'comlink';
import type { SpawnedWorker, SpawnWorker } from '../../workers/spawn.ts';
import type { MemoryBudget } from '../core/budget.ts';
import { isDescriptorCode } from '../core/descriptors.ts';
import { Liveness, WORKER_TIMEOUT, type WorkerTimeout } from '../workers/liveness.ts';
import { capture, type Result, unwrap } from '../workers/result.ts';
import type { DiskCall, DiskOffload, DiskService, DiskSteps, NoteFolders } from './disk-offload.ts';

/** A thread takes some 40 ms to start: as long as the steps for so many files. */
const WORTH_A_THREAD_FILES = 64;

interface Waiting extends DiskCall {
  here: () => Promise<unknown>;
  /** Says how to come to an outcome: by an answer, or by taking the step here. */
  settle: (outcome: () => unknown) => void;
}

/**
 * A thread that takes steps on the disk for folders of many small files. Each call to a file system costs the thread that makes
 * it some 40 µs if it does not wait for it, and a small file takes 27 calls.
 */
export class DiskThread implements DiskOffload {
  readonly #spawn: SpawnWorker;
  readonly #folders: NoteFolders;
  readonly #budget: MemoryBudget;
  readonly #timeout: WorkerTimeout;
  #thread: { spawned: SpawnedWorker; service: Remote<DiskService>; liveness: Liveness } | undefined;
  /** It was closed, was lost, or does not start here. */
  #isOver = false;
  #queue: Waiting[] = [];
  readonly #sent = new Set<Waiting>();
  readonly #begun = new Set<Promise<unknown>>();

  constructor(
    spawn: SpawnWorker,
    { recipes, verifiedFiles }: NoteFolders,
    budget: MemoryBudget,
    timeout = WORKER_TIMEOUT,
  ) {
    this.#timeout = timeout;
    this.#spawn = spawn;
    this.#folders = { recipes, verifiedFiles };
    this.#budget = budget;
  }

  expect(files: number): void {
    if (this.#thread || this.#isOver || files < WORTH_A_THREAD_FILES) return;
    try {
      const spawned = this.#spawn();
      spawned.onFailure(() => this.#lose());
      const service = wrap<DiskService>(spawned.endpoint);
      const ping = () =>
        void service.ping().then(
          () => liveness.beat(),
          () => undefined,
        );
      const liveness = new Liveness(() => this.#lose(), this.#timeout, ping);
      this.#thread = { spawned, service, liveness };
    } catch {
      // Where no thread can be started, all is done where it is asked for.
      this.#isOver = true;
    }
  }

  get active(): boolean {
    return this.#thread !== undefined && !this.#isOver;
  }

  run<Name extends keyof DiskSteps>(
    name: Name,
    args: Parameters<DiskSteps[Name]>,
    here: () => ReturnType<DiskSteps[Name]>,
  ): ReturnType<DiskSteps[Name]> {
    return (this.active ? this.#ask(name, args, here) : here()) as ReturnType<DiskSteps[Name]>;
  }

  tryReserve(bytes: number): boolean {
    return this.active && this.#budget.tryAcquire(bytes);
  }

  release(bytes: number): void {
    this.#budget.release(bytes);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.allSettled(this.#begun);
    this.#lose();
  }

  #ask(name: keyof DiskSteps, args: unknown[], here: () => Promise<unknown>): Promise<unknown> {
    const asked = new Promise<() => unknown>((settle) => {
      this.#queue.push({ name, args, here, settle });
      // What is asked for in one turn of the loop is one message.
      if (this.#queue.length === 1) setImmediate(() => void this.#send());
    }).then((outcome) => outcome());
    this.#begun.add(asked);
    const over = () => this.#begun.delete(asked);
    asked.then(over, over);
    return asked;
  }

  async #send(): Promise<void> {
    const calls = this.#queue;
    this.#queue = [];
    if (!this.#thread) return;
    const { spawned, service, liveness } = this.#thread;
    for (const call of calls) this.#sent.add(call);
    spawned.hold(true);
    const plain = calls.map(({ name, args }) => ({ name, args }));
    const together = await capture(() => liveness.watch(service.run(this.#folders, plain)));
    for (const [index, call] of calls.entries()) {
      const found = 'value' in together ? (together.value[index] as Result<unknown>) : together;
      // Who was answered by the loss of the thread is no longer among them.
      if (this.#sent.delete(call)) call.settle(() => resultHere(found, call));
    }
    if (this.#sent.size === 0) spawned.hold(false);
  }

  #lose(): void {
    this.#isOver = true;
    this.#thread?.liveness.stop();
    this.#thread?.spawned.terminate();
    this.#thread = undefined;
    const lost = [...this.#sent, ...this.#queue];
    this.#sent.clear();
    this.#queue = [];
    // A step that was half done is as one that a killed process left: it can be done again.
    for (const { here, settle } of lost) settle(here);
  }
}

/** Repeats a step here if the disk thread cannot open a file: this thread can close idle connections. */
function resultHere(found: Result<unknown>, { here }: Waiting): unknown {
  return 'error' in found && isDescriptorCode(found.error.system) ? here() : unwrap(found);
}
