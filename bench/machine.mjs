// @ts-check
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem, type } from 'node:os';
import { execPath, version } from 'node:process';

/** What the figures depend on, and nothing that tells whose machine it is. */
export function describeMachine() {
  return {
    processors: availableParallelism(),
    vectors: widestVectors(),
    memoryGB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split('-')[0]}`,
    node: version,
    // More than there are processors: others were at work on the machine, and figures are lower than they could be.
    loadAtEnd: Number(loadavg()[1]?.toFixed(1)),
  };
}

/** The widest of a processor's instructions that native code hashes with, and WebAssembly cannot; undefined if unknown. */
function widestVectors() {
  try {
    const flags = readFileSync('/proc/cpuinfo', 'utf8');
    return /\bavx512f\b/.test(flags) ? 'AVX-512' : /\bavx2\b/.test(flags) ? 'AVX2' : undefined;
  } catch {
    return undefined;
  }
}

const TOUCHED_BYTES = 768 * 2 ** 20;

/**
 * Uses memory and gives it back. A virtual machine that did not need some for a while has given it to others, and whoever
 * uses it next waits for it: a quarter of a second for 128 MB, which would be counted to the client whose turn it is.
 */
export function touchMemory() {
  return new Promise((resolve) => {
    const child = spawn(execPath, ['-e', `Buffer.alloc(${TOUCHED_BYTES}, 1)`], { stdio: 'ignore' });
    child.once('close', () => resolve(undefined));
    child.once('error', () => resolve(undefined));
  });
}
