// @ts-check
// A look into the chosen file, of a few ranges of it: text, or the tensors of a safetensors or GGUF file.
import { problemOf } from '../advice.js';
import { browseClient } from '../clients.js';
import { bytes, counted, percent } from '../format.js';
import { SOURCES, Sources } from '../sources.js';
import { store } from '../state.js';
import { readGgufHeader, readSafetensors } from '../xetkit.js';
import { byId, make, setText } from './dom.js';

const TEXT_BYTES = 64 * 1024;
/** Files up to this are fetched as a whole in any case: they are looked into without being asked to. */
const SMALL_BYTES = 32 * 1024;
const MAX_ROWS = 500;
const NOTHING = new Sources();

/** @param {import('../chunk-map.js').ChunkMap} map the map of the file, to show where a tensor lies */
export function previewView(map) {
  const card = byId('preview-card', HTMLElement);
  const message = byId('preview-note', HTMLElement);
  const button = byId('look', HTMLButtonElement);
  const box = byId('preview', HTMLElement);
  let stop = new AbortController();
  /** Draws the sources of the tensors that are shown. @type {((sources: Sources) => void) | undefined} */
  let showSources;

  const clear = () => {
    stop.abort();
    showSources = undefined;
    map.mark(undefined);
    box.replaceChildren();
    setText(message, 'Reads a few ranges of it, not the file.');
    button.hidden = false;
    button.disabled = false;
  };

  const look = async () => {
    const { job } = store.get();
    if (!job) return;
    clear();
    stop = new AbortController();
    const { signal } = stop;
    button.disabled = true;
    setText(message, 'Reading…');
    try {
      const { endpoint, repo, path, revision } = job;
      const file = await browseClient(endpoint).open({ repo, path, revision, signal });
      const shown = /\.(safetensors|gguf)$/.test(job.path)
        ? await tensors(file, signal, map)
        : await text(file, signal);
      if (signal.aborted) return;
      setText(message, shown.note);
      box.replaceChildren(...shown.nodes);
      showSources = shown.showSources;
      showSources?.(store.get().transfer?.known ?? NOTHING);
      button.hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      const { code, message: said } = problemOf(error);
      setText(message, `${code}: ${said}`);
      button.disabled = false;
    }
  };
  button.addEventListener('click', look);

  /** @type {string | undefined} */
  let shownFile;
  store.show(({ job, transfer }) => {
    const file = job && `${job.endpoint} ${job.repo} ${job.path}`;
    card.hidden = !job;
    if (file !== shownFile) {
      shownFile = file;
      clear();
      if (job && job.size <= SMALL_BYTES) void look();
    }
    showSources?.(transfer?.known ?? NOTHING);
  });
}

/**
 * @typedef {{ note: string, nodes: Node[], showSources?: (sources: Sources) => void }} Shown
 */

/** @param {import('../xetkit.js').XetFile} file @param {AbortSignal} signal @returns {Promise<Shown>} */
async function text(file, signal) {
  const start = await file.read(0, Math.min(file.size, TEXT_BYTES), { signal });
  // No text has bytes of zero.
  if (start.includes(0)) return { note: 'These bytes are no text.', nodes: [] };
  const all = start.length === file.size;
  const content = new TextDecoder().decode(start, { stream: !all });
  const note = all ? `Text, ${bytes(file.size)}` : `Text, the first ${bytes(start.length)}`;
  const label = `Text of ${file.path}`;
  return { note, nodes: [make('pre', { tabindex: '0', role: 'region', 'aria-label': label }, content)] };
}

/**
 * @param {import('../xetkit.js').XetFile} file
 * @param {AbortSignal} signal
 * @param {import('../chunk-map.js').ChunkMap} map
 * @returns {Promise<Shown>}
 */
async function tensors(file, signal, map) {
  const all = await tensorsOf(file, signal);
  const rows = all.slice(0, MAX_ROWS).map((tensor) => rowOf(tensor, map));
  const head = ['Tensor', 'Type', 'Shape', 'Size', 'From'].map((name) =>
    make('th', { scope: 'col', class: name === 'Size' ? 'number' : '' }, name),
  );
  const table = make(
    'table',
    {},
    make('thead', {}, make('tr', {}, ...head)),
    make('tbody', {}, ...rows.map(({ row }) => row)),
  );
  const left = all.length - rows.length;
  const count = counted(all.length, 'tensor');
  const parameters = all.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
  const note = `${count} · ${millions(parameters)} parameters${left > 0 ? ` · the first ${MAX_ROWS} are shown` : ''}`;
  const label = `Tensors of ${file.path}`;
  let shownRuns = '';
  return {
    note,
    nodes: [make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table)],
    showSources(sources) {
      const key = JSON.stringify(sources.runs);
      if (key === shownRuns) return;
      shownRuns = key;
      for (const row of rows) row.showSources(sources);
    },
  };
}

/**
 * @typedef {{ name: string, type: string, shape: number[], start: number, end: number }} Tensor its bytes in the file
 * @param {import('../xetkit.js').XetFile} file
 * @param {AbortSignal} signal
 * @returns {Promise<Tensor[]>} as they lie in the file
 */
async function tensorsOf(file, signal) {
  if (/\.gguf$/.test(file.path)) {
    const { tensors } = await readGgufHeader(file, { signal });
    return tensors.map((one) => ({ ...one, type: one.typeName ?? `type ${one.type}`, end: one.end ?? one.start }));
  }
  const { tensors } = await readSafetensors(file, { signal });
  const all = [...tensors].map(([name, { dtype, ...one }]) => ({ name, type: dtype, ...one }));
  return all.sort((a, b) => a.start - b.start);
}

/** @param {Tensor} tensor @param {import('../chunk-map.js').ChunkMap} map */
function rowOf({ name, type, shape, start, end }, map) {
  const mark = () => map.mark({ start, end });
  const unmark = () => map.mark(undefined);
  const button = make('button', { type: 'button', class: 'tensor', focus: mark, blur: unmark, click: mark }, name);
  const bars = SOURCES.map((source) => ({ source, bar: make('span', { class: source }) }));
  const shares = make(
    'div',
    { class: 'shares', role: 'img', 'aria-label': 'not here yet' },
    ...bars.map(({ bar }) => bar),
  );
  const row = make(
    'tr',
    { mouseenter: mark, mouseleave: unmark },
    make('td', {}, button),
    make('td', {}, type),
    make('td', {}, shape.length === 0 ? 'one number' : shape.join(' × ')),
    make('td', { class: 'number' }, bytes(end - start)),
    make('td', {}, shares),
  );
  return {
    row,
    /** @param {Sources} sources */
    showSources(sources) {
      const sums = sources.bytes(start, end);
      for (const { source, bar } of bars) bar.style.width = `${(sums[source] / Math.max(1, end - start)) * 100}%`;
      const parts = SOURCES.filter((source) => sums[source] > 0);
      const words = parts.map((source) => `${WORDS[source]} ${percent(sums[source], end - start)}`);
      const label = words.join(', ') || 'not here yet';
      shares.setAttribute('aria-label', label);
      shares.title = label;
    },
  };
}

const WORDS = { network: 'network', cache: 'fetched before', shared: 'other files' };

/** @param {number} count */
function millions(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} million` : count.toLocaleString('en');
}
