// @ts-check
// What is kept in this browser, and how to get rid of it.
import { canClear } from '../clients.js';
import { bytes, counted } from '../format.js';
import { store } from '../state.js';
import { byId, setText } from './dom.js';

/** @param {{ onClear: () => Promise<void>, onPersist: () => Promise<void> }} actions */
export function keptView({ onClear, onPersist }) {
  const clear = byId('clear', HTMLButtonElement);
  const persist = byId('persist', HTMLButtonElement);
  const dialog = byId('clear-dialog', HTMLDialogElement);
  const kept = byId('kept', HTMLElement);
  const keptOf = byId('kept-of', HTMLElement);
  const message = byId('kept-note', HTMLElement);
  clear.addEventListener('click', () => dialog.showModal());
  dialog.addEventListener('close', () => {
    if (dialog.returnValue === 'clear') void onClear();
    // What was chosen last time is not chosen again by pressing Escape.
    dialog.returnValue = '';
  });
  persist.addEventListener('click', onPersist);

  store.show(({ kept: { usage, estimate, persisted, problem }, status }) => {
    const used = usage?.totalBytes ?? 0;
    const room = Math.min(usage?.xetkit.chunks?.maxBytes ?? Number.POSITIVE_INFINITY, (estimate?.quota ?? 0) / 2);
    setText(kept, used > 0 ? bytes(used) : 'Nothing yet');
    setText(keptOf, Number.isFinite(room) && room > 0 ? `of ${bytes(room)} at most` : '');
    setText(message, problem ? `${problem.code}: ${problem.message}` : whatOf(usage, persisted));
    clear.disabled = !canClear || used === 0 || status === 'running';
    persist.hidden = persisted !== false || used === 0;
  });
}

/** @param {import('../xetkit.js').CacheUsage | undefined} usage @param {boolean | undefined} persisted */
function whatOf(usage, persisted) {
  if (!usage || usage.totalBytes === 0) return 'Chunks of what you download, so that no byte is fetched twice.';
  const { chunks, recipes } = usage.xetkit;
  const files = recipes.count > 0 ? `, and how ${counted(recipes.count, 'file is', 'files are')} built` : '';
  const forHowLong = persisted
    ? 'The browser keeps it until you clear it.'
    : 'The browser may drop it when the disk gets full.';
  return `${counted(chunks?.entries ?? 0, 'run')} of chunks${files}. ${forHowLong}`;
}
