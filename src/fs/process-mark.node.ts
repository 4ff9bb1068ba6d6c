import { createHash } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { readFile, readlink } from './disk.node.ts';

/** A process, named so that other processes can tell whether it still runs. */
export interface ProcessMark {
  pid: number;
  /** For people who read it: two machines may have the same name. */
  host: string;
  /** Equal where process numbers mean the same; absent where that is not known. */
  machine?: string;
  /** Start of the process, in the system's own terms: process numbers are used again. */
  started?: string;
}

let own: Promise<ProcessMark> | undefined;

export function ownMark(): Promise<ProcessMark> {
  own ??= (async () => {
    const [machine, started] = await Promise.all([machineId(), startOf('self')]);
    return {
      pid: process.pid,
      host: (await mayAsk({ name: 'sys', kind: 'hostname' })) ? (attempt(hostname) ?? '') : '',
      ...(machine !== undefined && { machine }),
      ...(typeof started === 'object' && { started: started.at }),
    };
  })();
  return own;
}

/** The mark in a value that came from a file. */
export function markIn(value: unknown): ProcessMark | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, host, machine, started } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || typeof host !== 'string') return undefined;
  return {
    pid: pid as number,
    host,
    ...(typeof machine === 'string' && { machine }),
    ...(typeof started === 'string' && { started }),
  };
}

/** True if a process has certainly ended. False also where that cannot be told: elsewhere its number means nothing. */
export async function hasEnded(
  mark: Pick<ProcessMark, 'pid' | 'machine'> & { started?: string | undefined },
): Promise<boolean> {
  const { machine } = await ownMark();
  if (machine === undefined || mark.machine !== machine) return false;
  try {
    process.kill(mark.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  const now = await startOf(mark.pid);
  if (now === undefined || mark.started === undefined) return false;
  return now === 'ended' || now.at !== mark.started;
}

/**
 * Process numbers are shared within one namespace of one start of one system. Names of hosts say nothing about that:
 * containers and copies of a virtual machine often have the same.
 */
async function machineId(): Promise<string | undefined> {
  if (!(await mayAsk({ name: 'read' })) || !(await mayAsk({ name: 'sys' }))) return undefined;
  if (process.platform === 'linux') {
    const [boot, namespace] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => undefined),
      readlink('/proc/self/ns/pid').catch(() => undefined),
    ]);
    return boot === undefined || namespace === undefined ? undefined : `${boot.trim()} ${namespace}`;
  }
  // Other systems have one namespace; the hardware tells machines with the same name apart.
  const macs = attempt(() =>
    Object.values(networkInterfaces()).flatMap((found) =>
      (found ?? []).filter(({ internal }) => !internal).map(({ mac }) => mac),
    ),
  );
  const host = attempt(hostname);
  if (!macs || macs.length === 0 || host === undefined) return undefined;
  const text = JSON.stringify([process.platform, host, [...new Set(macs)].sort()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Start time of a process; `'ended'` for a zombie; undefined if unknown. */
async function startOf(pid: number | 'self'): Promise<{ at: string } | 'ended' | undefined> {
  if (process.platform !== 'linux' || !(await mayAsk({ name: 'read' }))) return undefined;
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program may have anything in it, brackets too.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields ?? [];
  const at = fields?.[19];
  if (state === undefined || at === undefined) return undefined;
  return state === 'Z' || state === 'X' ? 'ended' : { at };
}

/** Deno asks its user before it tells a program such things, unless that was settled before: not worth a question. */
async function mayAsk(wanted: { name: string; kind?: string }): Promise<boolean> {
  const { Deno } = globalThis as {
    Deno?: { permissions: { query(wanted: { name: string; kind?: string }): Promise<{ state: string }> } };
  };
  return Deno === undefined || (await Deno.permissions.query(wanted)).state === 'granted';
}

/** Undefined where the system, or Deno, does not say. */
function attempt<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch {
    return undefined;
  }
}
