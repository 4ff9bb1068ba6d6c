// @ts-check
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { goalLines, OTHERS, ratioOf } from './goals.mjs';
import { plots } from './plots.mjs';
import { median, percentile, summary, valuesOf } from './statistics.mjs';

/** @typedef {import('./works.mjs').Entry} Entry */
/** @typedef {import('./works.mjs').Results} Results */
/** @typedef {import('./works.mjs').Report} Report */

const NAMES = { xetkit: 'xetkit', native: 'hf_xet (native)', 'hub-js': '@huggingface/hub' };

/** The goals that compare with nobody. @param {Results} results */
function ownGoals(results) {
  const lines = [];
  const repeats = results['warm repeat, to another folder']?.xetkit ?? [];
  const hits = repeats.flatMap(({ source, size }) => {
    const { network } = /** @type {{ network: number }} */ (source ?? {});
    return size ? [1 - network / size] : [];
  });
  if (hits.length > 0) {
    const rate = median(hits);
    lines.push({ text: 'cache hit rate on repeats', goal: 0.99, reached: rate, ok: rate >= 0.99 });
  }
  const [disk] = results['three variants, disk']?.xetkit ?? [];
  if (disk?.size) {
    const saved = 1 - Number(disk.disk) / disk.size;
    lines.push({ text: 'disk saved, three variants read as streams', goal: 0.6, reached: saved, ok: saved >= 0.6 });
  }
  return lines;
}

const two = (/** @type {number} */ value) => (value >= 10 ? value.toFixed(0) : value.toFixed(2));
const times = (/** @type {number | undefined} */ value) => (value === undefined ? '' : `${two(value)} ×`);
const share = (/** @type {number} */ value) => `${(100 * value).toFixed(1)} %`;

/** @param {Report} report */
function markdown({ date, machine, minutes, versions, mode, sizes, results }) {
  const others = OTHERS.filter((other) => Object.values(results).some((of) => of[other]));
  const clients = /** @type {const} */ (['xetkit', ...others]);
  const lines = [`# Benchmark of ${date}`, ''];
  const used = Object.entries(versions).filter(([, version]) => version !== undefined);
  lines.push(
    `${machine.processors} processors${machine.vectors ? ` with ${machine.vectors}` : ''}, ${machine.memoryGB} GB of memory, ${machine.system}, Node ${machine.node}; ` +
      `against ${used.map(([name, version]) => `${name} ${version}`).join(', ')}. ` +
      `\`npm run bench${mode === 'peers' ? ':peers' : ''}\`, ${minutes.toFixed(0)} minutes; ` +
      `load at the end ${machine.loadAtEnd}.`,
    '',
    'The Hub is xetkit’s local one, in a process of its own on the same processors: what it does is not counted as CPU',
    'time of a client, but takes its share of the machine. xetkit verifies every byte; the others verify none of them.',
    'Ratios are medians over pairs of neighbouring runs; above 1 xetkit is the faster or smaller one.',
    '',
    '## Goals',
    '',
    '| work | against | ratio | goal | |',
    '|---|---|---|---|---|',
  );
  for (const { text, other, goal, reached, ok, measure } of goalLines(results)) {
    const about = measure === 'seconds' ? '' : measure === 'cpuSeconds' ? ' (CPU time)' : ' (memory)';
    lines.push(
      `| ${text}${about} | ${NAMES[other]} | **${times(reached)}** | ${times(goal)} | ${ok ? 'reached' : 'not reached'} |`,
    );
  }
  for (const { text, goal, reached, ok } of ownGoals(results)) {
    lines.push(`| ${text} | – | **${share(reached)}** | ${share(goal)} | ${ok ? 'reached' : 'not reached'} |`);
  }
  lines.push('', '## Everything that was measured', '');
  const head = ['work', ...others.map((other) => `× ${NAMES[other]}`), ...clients.map((name) => NAMES[name])];
  lines.push(`| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`);
  for (const [work, of] of Object.entries(results)) {
    const cells = clients.map((name) => describe(of[name]));
    if (cells.every((cell) => cell === '')) continue;
    lines.push(
      `| ${work} | ${[...others.map((other) => times(ratioOf(results, work, other))), ...cells].join(' | ')} |`,
    );
  }
  lines.push(
    '',
    'Each cell: median (lowest–highest) of the runs; CPU seconds of the process; its peak memory; requests, and bytes that the',
    'server sent, where that is told. Sizes in MB:',
    `${Object.entries(sizes)
      .map(([name, bytes]) => `${name} ${(bytes / 1e6).toFixed(0)}`)
      .join(', ')}.`,
    '',
  );
  return lines.join('\n');
}

/** @param {Entry[] | undefined} entries */
function describe(entries) {
  if (!entries || entries.length === 0) return '';
  const seconds = summary(valuesOf(entries, 'seconds'));
  if (Number.isNaN(seconds.median)) return '';
  const [first] = entries;
  const parts = [];
  const latencies = entries.flatMap(({ latencies }) => latencies ?? []);
  const size = median(valuesOf(entries, 'size'));
  if (latencies.length > 0) {
    parts.push(
      `${(1000 * median(latencies)).toFixed(1)} ms a read, 95 % under ${(1000 * percentile(latencies, 0.95)).toFixed(0)} ms`,
    );
  } else if (size > 20e6) {
    const rate = (/** @type {number} */ taken) => (size / 1e6 / taken).toFixed(0);
    parts.push(`${rate(seconds.median)} MB/s (${rate(seconds.most)}–${rate(seconds.least)})`);
  } else {
    const milliseconds = (/** @type {number} */ taken) => (1000 * taken).toFixed(0);
    parts.push(`${milliseconds(seconds.median)} ms (${milliseconds(seconds.least)}–${milliseconds(seconds.most)})`);
  }
  const cpu = median(valuesOf(entries, 'cpuSeconds'));
  if (cpu > 0) parts.push(`${cpu.toFixed(2)} s CPU`);
  const peak = median(valuesOf(entries, 'peakBytes'));
  if (peak > 0) parts.push(`${(peak / 1e6).toFixed(0)} MB`);
  if (first?.requests) {
    const requests = median(
      entries.map(({ requests }) => Object.values(requests ?? {}).reduce((sum, count) => sum + count, 0)),
    );
    parts.push(`${requests} requests`, `${(median(entries.map(({ sent }) => sent ?? 0)) / 1e6).toFixed(1)} MB sent`);
  }
  return parts.join('; ');
}

/** Prints the report, and writes it down. @param {Report} report @param {string | undefined} folder */
export async function writeReport(report, folder) {
  const text = markdown(report);
  console.log(text);
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  const stem = `${report.mode}`;
  await writeFile(join(folder, `${stem}.json`), `${JSON.stringify(rounded(report), null, 1)}\n`);
  const drawn = plots(report);
  for (const { name, svg } of drawn) await writeFile(join(folder, `${stem}-${name}.svg`), svg);
  const images = drawn.map(({ name, title }) => `![${title}](${stem}-${name}.svg)`).join('\n\n');
  await writeFile(join(folder, `${stem}.md`), `${text}\n${images}\n`);
  console.error(`Written to ${folder}`);
}

/** Nothing was measured to more than five digits. @param {unknown} value @returns {unknown} */
function rounded(value) {
  if (typeof value === 'number') return Number.isInteger(value) ? value : Number(value.toPrecision(5));
  if (Array.isArray(value)) return value.map(rounded);
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, rounded(one)]));
  return value;
}
