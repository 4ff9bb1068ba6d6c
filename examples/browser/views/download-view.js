// @ts-check
import { ChunkMap } from '../chunk-map.js';
import { nameOf } from '../downloads.js';
import { bytes, duration, percent } from '../format.js';
import { canPickFile } from '../sinks.js';
import { SOURCES, Sources } from '../sources.js';
import { store } from '../state.js';
import { byId, make, setText } from './dom.js';

/** Files beyond this are better not held in memory, where there is another way. */
const LARGE_BYTES = 512 * 1024 * 1024;
const NOTHING = new Sources();

/** What the badge and the main button say. */
const SHOWN = /** @type {const} */ ({
  none: { badge: '', tone: '', go: 'Download' },
  ready: { badge: '', tone: '', go: 'Download' },
  running: { badge: 'Downloading', tone: 'busy', go: 'Pause' },
  paused: { badge: 'Paused', tone: '', go: 'Resume' },
  verified: { badge: 'Verified', tone: 'good', go: 'Download again' },
  failed: { badge: 'Failed', tone: 'bad', go: 'Try again' },
  elsewhere: { badge: 'Another tab is at it', tone: '', go: 'Try again' },
});

/**
 * The chosen file, how far it is, and the buttons for it.
 * @param {{ onStart: (toFile: boolean) => void, onPause: () => void, onCancel: () => void }} actions
 */
export function downloadView({ onStart, onPause, onCancel }) {
  const title = byId('download-title', HTMLElement);
  const about = byId('about', HTMLElement);
  const badge = byId('badge', HTMLElement);
  const tour = byId('tour', HTMLElement);
  const meter = byId('meter', HTMLElement);
  const progress = byId('progress', HTMLProgressElement);
  const done = byId('done', HTMLElement);
  const pace = byId('pace', HTMLElement);
  const wire = byId('wire', HTMLElement);
  const controls = byId('controls', HTMLElement);
  const go = byId('go', HTMLButtonElement);
  const save = byId('save', HTMLAnchorElement);
  const cancel = byId('cancel', HTMLButtonElement);
  const toFile = byId('to-file', HTMLInputElement);
  const toFileLabel = byId('to-file-label', HTMLElement);
  const canvas = byId('map', HTMLCanvasElement);
  const map = new ChunkMap(canvas);

  go.addEventListener('click', ({ detail }) => {
    // A double click is meant to start, and not to start and pause.
    if (detail > 1) return;
    if (store.get().status === 'running') onPause();
    else onStart(toFile.checked);
  });
  cancel.addEventListener('click', () => {
    onCancel();
    // The button is about to go, and the focus with it.
    go.focus();
  });

  /** @type {string | undefined} */
  let shownFile;
  store.show((state) => {
    const { status, job, transfer, earlier } = state;
    const size = transfer?.file?.size ?? job?.size ?? 0;
    const known = transfer?.file ? transfer.known : (earlier?.sources ?? NOTHING);
    const sources = transfer?.sources ?? NOTHING;
    const file = job && `${job.endpoint} ${job.repo} ${job.path}`;
    if (file !== shownFile) {
      shownFile = file;
      toFile.checked = canPickFile && (job?.toFile || size > LARGE_BYTES);
    }

    setText(title, job ? nameOf(job.path) : 'Download');
    setText(about, job ? aboutOf(job, size) : 'Open a repository and choose a file.');
    const { badge: word, tone, go: verb } = SHOWN[status];
    setText(badge, wordFor(status, transfer) ?? word);
    badge.dataset.tone = tone;
    badge.hidden = badge.textContent === '';

    tour.hidden = Boolean(job);
    meter.hidden = !job;
    controls.hidden = !job;
    progress.max = Math.max(1, size);
    progress.value = known.end;
    setText(done, `${bytes(known.end)} of ${bytes(size)} · ${percent(known.end, size)}`);
    setText(pace, paceOf(state));
    map.show({ size, sources, known });
    const sums = known.bytes();
    for (const source of SOURCES) {
      const text = sums[source] > 0 ? `${bytes(sums[source])} · ${percent(sums[source], size)}` : '–';
      setText(byId(`from-${source}`, HTMLElement), text);
    }
    const network = transfer?.network ?? earlier?.network ?? 0;
    setText(wire, network > 0 ? bytes(network) : '–');
    canvas.setAttribute('aria-label', `Map of the file: ${percent(known.end, size)} of it is here`);

    setText(go, verb);
    go.classList.toggle('main', status !== 'verified');
    cancel.hidden = !['running', 'paused', 'failed'].includes(status);
    toFileLabel.hidden = !canPickFile || status === 'running' || status === 'verified';
    showSave(save, state);
    showProblem(byId('problem', HTMLElement), state);
    showResult(byId('result', HTMLElement), state);
    document.title = status === 'running' ? `${percent(known.end, size)} · xetkit in a page` : 'xetkit in a page';
  });
  return { map };
}

/** @param {import('../remembered.js').Job} job @param {number} size */
function aboutOf({ repo, revision, path }, size) {
  const folder = path.includes('/') ? ` · ${path.slice(0, path.lastIndexOf('/') + 1)}` : '';
  const at = /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 8) : revision;
  return `${repo}@${at}${folder} · ${bytes(size)}`;
}

/** @param {import('../state.js').Status} status @param {import('../transfer.js').Transfer | undefined} transfer */
function wordFor(status, transfer) {
  if (status !== 'running') return undefined;
  if (!transfer?.file) return 'Looking it up';
  if (transfer.waiting) return 'Waiting for the network';
  return transfer.phase === 'recalling' ? 'Checking what is here' : 'Downloading';
}

/** @param {import('../state.js').State} state */
function paceOf({ status, transfer, result }) {
  if (status === 'verified' && result) return `in ${duration(result.seconds)}`;
  if (status !== 'running' || !transfer) return '';
  const { perSecond, secondsLeft } = transfer.pace;
  if (perSecond === undefined) return '';
  const left = secondsLeft === undefined ? '' : ` · ${duration(secondsLeft)} left`;
  return `${bytes(perSecond)}/s${left}`;
}

/** @param {HTMLAnchorElement} link @param {import('../state.js').State} state */
function showSave(link, { status, result, job }) {
  link.hidden = status !== 'verified' || !result?.url;
  if (link.hidden || link.href === result?.url) return;
  link.href = result?.url ?? '';
  link.download = nameOf(job?.path ?? '');
}

/** @param {HTMLElement} box @param {import('../state.js').State} state */
function showProblem(box, { problem }) {
  const key = problem ? `${problem.code} ${problem.message}` : '';
  box.hidden = !problem;
  // An alert is read out whenever it changes.
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  if (!problem) return box.replaceChildren();
  const { code, message, advice } = problem;
  const what = make('p', {}, make('code', {}, code), ` ${message}`);
  box.replaceChildren(what, ...(advice ? [make('p', { class: 'advice' }, advice)] : []));
}

/** @param {HTMLElement} box @param {import('../state.js').State} state */
function showResult(box, { status, result }) {
  const key = status === 'verified' && result ? `${result.sha256} ${result.url}` : '';
  box.hidden = key === '';
  if (box.dataset.shown === key) return;
  box.dataset.shown = key;
  if (!result || key === '') return box.replaceChildren();
  const { xetHash, sha256, computed, url } = result;
  const facts = make('dl');
  const add = (/** @type {string} */ name, /** @type {string} */ value) =>
    facts.append(make('dt', {}, name), make('dd', { class: 'mono' }, value));
  if (sha256) add(computed ? 'sha256, computed here' : 'sha256, as the Hub lists it', sha256);
  if (xetHash) add('Xet file hash', xetHash);
  const how = xetHash
    ? 'Every chunk was hashed, and together they are the file that was asked for.'
    : 'Its hash is right.';
  const where = url ? '' : ' The file was written only now that it is verified.';
  box.replaceChildren(make('p', {}, make('strong', {}, 'Verified.'), ` ${how}${where}`), facts);
}
