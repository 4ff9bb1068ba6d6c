import type { FileDestination } from '../../files/place.ts';
import type { JobContext } from '../fetch-runs.ts';
import type { Stage } from '../stages.ts';
import type { Transport } from '../transport.ts';
import type { WrittenPart } from './messages.ts';

/** Target that others than the calling thread write to. */
export interface RemoteTarget {
  transfers: Transfers;
  destination: FileDestination;
  /** Notes bytes that a worker has put in their place. */
  note(part: WrittenPart): Promise<void>;
}

/** Objects of the client that the accounts of a transfer job are kept in. */
export type TransferAccounts = Pick<Transport, 'lanes' | 'budget' | 'rules' | 'pool'>;

/** A job of a file that a worker does. */
export interface RemoteJob {
  /** Returns when all is in its place and noted. */
  run(target: RemoteTarget): Promise<void>;
  /** Ends it; {@link run} returns when the worker writes nothing more. */
  stop(reason: unknown): void;
  makeUrgent(): void;
}

/** Workers that download to files on their own. */
export interface Transfers {
  /** True if jobs may be given to workers now. */
  readonly isAvailable: boolean;
  /** Number of workers that were lost. */
  readonly lost: number;
  job(stage: Stage, index: number, context: JobContext, accounts: TransferAccounts): RemoteJob;
  /** Ends the workers. Jobs under way reject with `CLOSED`. */
  close(): void;
}

/** The end of a transfer worker in the middle of a job. What it had written and told is in place; the rest is planned again. */
export class WorkerLost extends Error {}
