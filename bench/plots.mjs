// @ts-check
// Drawings of the figures, without a library: bars of ratios, and lines by size, latency and workers.
import { GOALS, goalLines } from './goals.mjs';
import { median, valuesOf } from './statistics.mjs';

const COLOURS = { xetkit: '#0b7a75', native: '#d1495b', 'hub-js': '#8d96a3' };
const NAMES = { xetkit: 'xetkit', native: 'hf_xet', 'hub-js': '@huggingface/hub' };
const FONT = 'font-family="system-ui, sans-serif"';

/** @typedef {keyof typeof COLOURS} Name */
/** @typedef {{ name: string, title: string, svg: string }} Drawing */

const escaped = (/** @type {string} */ text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** @param {string} text @param {number} x @param {number} y @param {{ size?: number, anchor?: string, fill?: string, bold?: boolean }} [how] */
const label = (text, x, y, { size = 12, anchor = 'start', fill = '#222', bold = false } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" ${FONT} text-anchor="${anchor}" fill="${fill}"${bold ? ' font-weight="600"' : ''}>${escaped(text)}</text>`;

/** @param {number} width @param {number} height @param {string[]} parts */
const drawing = (width, height, parts) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">\n` +
  `<rect width="${width}" height="${height}" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;

/**
 * Ratios on a scale of powers: twice as fast is as far from the middle as half as fast.
 * @param {string} title @param {{ text: string, other: Name, reached: number, goal: number }[]} lines
 */
function ratioBars(title, lines) {
  const left = 330;
  const width = 900;
  const row = 26;
  const most = Math.max(2, ...lines.map(({ reached }) => reached));
  const least = Math.min(0.5, ...lines.map(({ reached }) => reached));
  const x = (/** @type {number} */ ratio) =>
    left + ((width - left - 70) * Math.log2(ratio / least)) / Math.log2(most / least);
  const parts = [label(title, 16, 26, { size: 16, bold: true })];
  const bottom = 50 + lines.length * row;
  for (let power = Math.ceil(Math.log2(least)); power <= Math.log2(most); power++) {
    const at = x(2 ** power);
    parts.push(
      `<line x1="${at}" x2="${at}" y1="44" y2="${bottom}" stroke="${power === 0 ? '#222' : '#ddd'}"/>`,
      label(`${2 ** power} ×`, at, bottom + 16, { size: 11, anchor: 'middle', fill: '#555' }),
    );
  }
  lines.forEach(({ text, other, reached, goal }, index) => {
    const y = 50 + index * row;
    const from = Math.min(x(1), x(reached));
    const marked = Math.min(Math.max(x(goal), left), width - 40);
    parts.push(
      label(`${text.replace(/`/g, '')}`, left - 12, y + 15, { anchor: 'end' }),
      `<rect x="${from}" y="${y + 3}" width="${Math.max(1, Math.abs(x(reached) - x(1)))}" height="16" fill="${COLOURS[other]}"/>`,
      `<line x1="${marked}" x2="${marked}" y1="${y}" y2="${y + 22}" stroke="#222" stroke-width="2" stroke-dasharray="3 2"/>`,
      label(`${reached >= 10 ? reached.toFixed(0) : reached.toFixed(2)}`, Math.max(x(reached), x(1)) + 6, y + 15, {
        size: 11,
      }),
    );
  });
  legend(parts, 16, bottom + 36, ['native', 'hub-js'], 'against ');
  parts.push(label('dashed: the goal', 380, bottom + 46, { size: 11, fill: '#555' }));
  return drawing(width, bottom + 60, parts);
}

/** @param {string[]} parts @param {number} x @param {number} y @param {Name[]} names @param {string} [before] */
function legend(parts, x, y, names, before = '') {
  names.forEach((name, index) => {
    const at = x + index * 180;
    parts.push(
      `<rect x="${at}" y="${y}" width="12" height="12" fill="${COLOURS[name]}"/>`,
      label(`${before}${NAMES[name]}`, at + 18, y + 10, { size: 11 }),
    );
  });
}

/**
 * @param {string} title @param {string} unit @param {string[]} ticks
 * @param {{ name: Name, values: (number | undefined)[] }[]} series
 */
function linesOver(title, unit, ticks, series) {
  const width = 640;
  const height = 320;
  const [left, top, right, bottom] = [70, 50, width - 24, height - 70];
  const most = Math.max(...series.flatMap(({ values }) => values.flatMap((value) => value ?? []))) * 1.1;
  const x = (/** @type {number} */ index) => left + ((right - left) * (index + 0.5)) / ticks.length;
  const y = (/** @type {number} */ value) => bottom - ((bottom - top) * value) / most;
  const parts = [label(title, 16, 26, { size: 15, bold: true }), label(unit, 16, 44, { size: 11, fill: '#555' })];
  const step = 10 ** Math.floor(Math.log10(most));
  const every = most / step > 5 ? 2 * step : most / step > 2 ? step : step / 4;
  for (let value = 0; value <= most; value += every) {
    parts.push(
      `<line x1="${left}" x2="${right}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`,
      label(`${Number(value.toPrecision(3))}`, left - 8, y(value) + 4, { size: 11, anchor: 'end', fill: '#555' }),
    );
  }
  for (const [index, tick] of ticks.entries()) {
    parts.push(label(tick, x(index), bottom + 18, { size: 11, anchor: 'middle', fill: '#555' }));
  }
  for (const { name, values } of series) {
    const points = values.flatMap((value, index) => (value === undefined ? [] : [[x(index), y(value)]]));
    parts.push(
      `<polyline points="${points.map((point) => point.map((at) => at?.toFixed(1)).join(',')).join(' ')}" fill="none" stroke="${COLOURS[name]}" stroke-width="2"/>`,
      ...points.map(
        ([cx, cy]) => `<circle cx="${cx?.toFixed(1)}" cy="${cy?.toFixed(1)}" r="3.5" fill="${COLOURS[name]}"/>`,
      ),
    );
  }
  legend(
    parts,
    left,
    height - 30,
    series.map(({ name }) => name),
  );
  return drawing(width, height, parts);
}

/** Tasks of the overview, and their names there. Those that xetkit loses belong to it. */
const OVERVIEW = [
  ['cold download, real', 'Download 91 MB of weights'],
  ['cold download, random', 'Download 256 MB of random data'],
  ['5 % variant', 'Download a fine-tuned variant (5 % new)'],
  ['warm repeat, to another folder', 'Download again into another folder'],
  ['snapshot, 1000 small files', 'Snapshot of 1,000 small files'],
  ['upload, bf16', 'Upload 128 MB of weights'],
  ['to memory, f32', 'Read 128 MB into memory'],
];

/**
 * Bars of speed for each task, one for each client, the fastest at full length. Legible at 600 pixels, in light and dark mode.
 * @param {import('./works.mjs').Report['results']} results
 */
function overview(results) {
  const width = 600;
  const left = 150;
  const most = width - left - 84;
  /** @type {string[]} */
  const parts = [];
  let y = 46;
  for (const [work = '', title = ''] of OVERVIEW) {
    const entries = results[work];
    if (!entries) continue;
    const names = /** @type {Name[]} */ (Object.keys(COLOURS)).filter((name) => entries[name]);
    const seconds = names.map((name) => median(valuesOf(entries[name], 'seconds')));
    const fastest = Math.min(...seconds);
    parts.push(`<text class="t" x="12" y="${y}" font-weight="600">${escaped(title)}</text>`);
    for (const [index, name] of names.entries()) {
      const own = seconds[index] ?? fastest;
      const at = y + 8 + index * 18;
      const length = Math.max(2, (most * fastest) / own);
      parts.push(
        `<text class="t" x="${left - 8}" y="${at + 11}" text-anchor="end">${NAMES[name]}</text>`,
        `<rect x="${left}" y="${at}" width="${length.toFixed(1)}" height="14" rx="2" fill="${COLOURS[name]}"/>`,
        `<text class="t" x="${(left + length + 6).toFixed(1)}" y="${at + 11}">${own < 1 ? `${Math.round(own * 1000)} ms` : `${own.toFixed(1)} s`}</text>`,
      );
    }
    y += 8 + names.length * 18 + 24;
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img" aria-label="Speed by task">\n` +
    '<style>.t{font:13px system-ui,sans-serif;fill:#1f2328}@media(prefers-color-scheme:dark){.t{fill:#e6edf3}}</style>\n' +
    `<text class="t" x="${width - 12}" y="20" text-anchor="end">faster →</text>\n${parts.join('\n')}\n</svg>\n`
  );
}

/** @param {import('./works.mjs').Report} report @returns {Drawing[]} */
export function plots({ results }) {
  /** @type {Drawing[]} */
  const drawn = [];
  if (OVERVIEW.every(([work = '']) => results[work])) {
    drawn.push({ name: 'speed', title: 'Speed by task', svg: overview(results) });
  }
  const goals = goalLines(results);
  if (goals.length > 0 && GOALS.length > 0) {
    const title = 'How many times as much the others need';
    drawn.push({ name: 'goals', title, svg: ratioBars(title, goals) });
  }
  /**
   * @param {string} name @param {string} title @param {string} unit @param {string[]} works @param {string[]} ticks
   * @param {(entries: import('./works.mjs').Entry[]) => number} value
   */
  const over = (name, title, unit, works, ticks, value) => {
    const present = works.flatMap((work, index) => (results[work] ? [{ work, tick: ticks[index] ?? '' }] : []));
    if (present.length < 2) return;
    const names = /** @type {Name[]} */ (Object.keys(COLOURS)).filter((client) =>
      present.some(({ work }) => results[work]?.[client]),
    );
    const series = names.map((client) => ({
      name: client,
      values: present.map(({ work }) => {
        const entries = results[work]?.[client];
        return entries && value(entries);
      }),
    }));
    drawn.push({
      name,
      title,
      svg: linesOver(
        title,
        unit,
        present.map(({ tick }) => tick),
        series,
      ),
    });
  };
  const rate = (/** @type {import('./works.mjs').Entry[]} */ entries) =>
    median(valuesOf(entries, 'size')) / 1e6 / median(valuesOf(entries, 'seconds'));
  const series = Object.keys(results).filter((work) => work.startsWith('by size, '));
  const sizes = series.map((work) => `${work.split('-')[1]} MB`);
  over('size', 'Cold download by size of the file', 'MB a second', series, sizes, rate);
  over(
    'memory',
    'Peak memory by size of the file',
    'MB',
    series,
    sizes,
    (entries) => median(valuesOf(entries, 'peakBytes')) / 1e6,
  );
  const latency = ['0 ms', '20 ms', '80 ms'];
  over(
    'latency',
    'Cold download of one file by latency',
    'MB a second',
    latency.map((one) => `latency ${one}, one file`),
    latency,
    rate,
  );
  over(
    'latency-small',
    'Snapshot of 100 small files by latency',
    'seconds',
    latency.map((one) => `latency ${one}, 100 small files`),
    latency,
    (entries) => median(valuesOf(entries, 'seconds')),
  );
  const workers = ['0', '1', '2'];
  over(
    'workers',
    'Cold download by number of workers',
    'MB a second',
    workers.map((count) => `by workers, ${count}`),
    workers,
    rate,
  );
  return drawn;
}
