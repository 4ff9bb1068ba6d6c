// @ts-check
import { bytes } from '../format.js';
import { store } from '../state.js';
import { byId, make, setText } from './dom.js';

/**
 * The folder that is open.
 * @param {object} actions
 * @param {(folder: string) => void} actions.onFolder
 * @param {(entry: import('../xetkit.js').ListEntry) => void} actions.onFile
 * @param {() => void} actions.onMore
 */
export function filesView({ onFolder, onFile, onMore }) {
  const card = byId('files-card', HTMLElement);
  const crumbs = byId('crumbs', HTMLElement);
  const message = byId('files-note', HTMLElement);
  const list = byId('files', HTMLUListElement);
  const more = byId('more', HTMLButtonElement);
  more.addEventListener('click', onMore);

  /** @param {import('../xetkit.js').ListEntry} entry */
  const row = (entry) => {
    const { path, size, type, xetHash } = entry;
    const isFile = type === 'file';
    const name = path.slice(path.lastIndexOf('/') + 1);
    const button = make(
      'button',
      { type: 'button', class: 'entry', 'data-path': path, click: () => (isFile ? onFile(entry) : onFolder(path)) },
      make('span', { class: `kind ${isFile ? (xetHash ? 'xet' : '') : 'folder'}`, 'aria-hidden': 'true' }),
      make('span', { class: 'name' }, isFile ? name : `${name}/`),
      make('span', { class: 'size' }, isFile ? bytes(size) : ''),
    );
    return make('li', {}, button);
  };

  /** @type {import('../state.js').Listing | undefined} */
  let shown;
  /** Whether the focus was on what a new folder replaces; the first entry is where one wants to be then. */
  let wantsFocus = false;
  store.show(({ listing, job }) => {
    if (listing !== shown) {
      shown = listing;
      const { status, problem, entries, repo, folder } = listing;
      wantsFocus ||= list.contains(document.activeElement) || crumbs.contains(document.activeElement);
      card.hidden = status === 'none';
      crumbs.replaceChildren(...trail(repo, folder, onFolder));
      setText(message, messageOf(status, problem, entries.length));
      message.hidden = message.textContent === '';
      message.classList.toggle('problem', status === 'failed');
      list.replaceChildren(...entries.map(row));
      more.hidden = !listing.more;
      if (status !== 'loading') {
        if (wantsFocus) list.querySelector('button')?.focus();
        wantsFocus = false;
      }
    }
    for (const button of list.querySelectorAll('button')) {
      const isChosen = job?.repo === listing.repo && job.path === button.dataset.path;
      if (isChosen) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    }
  });
}

/**
 * @param {import('../state.js').Listing['status']} status
 * @param {import('../advice.js').Problem | undefined} problem
 * @param {number} count
 */
function messageOf(status, problem, count) {
  if (status === 'loading') return 'Listing…';
  if (problem) return `${problem.code}: ${problem.message}`;
  return count === 0 ? 'Nothing is in it.' : '';
}

/**
 * The way to a folder: all of it but the last part leads there.
 * @param {string} repo
 * @param {string} folder
 * @param {(folder: string) => void} onFolder
 */
function trail(repo, folder, onFolder) {
  const parts = folder === '' ? [] : folder.split('/');
  const steps = [repo, ...parts].map((name, index) => ({ name, path: parts.slice(0, index).join('/') }));
  return steps.flatMap(({ name, path }, index) => {
    if (index === steps.length - 1) return [make('span', { 'aria-current': 'page' }, name)];
    const step = make('button', { type: 'button', class: 'crumb', click: () => onFolder(path) }, name);
    return [step, make('span', { 'aria-hidden': 'true' }, '/')];
  });
}
