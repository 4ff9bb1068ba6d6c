// @ts-check
import { recall } from '../remembered.js';
import { store } from '../state.js';
import { byId, make } from './dom.js';

const MAX_RECENT = 4;

/**
 * The form that says where from.
 * @param {{ onOpen: (asked: { endpoint: string, token: string, repo: string, revision: string }) => void }} actions
 */
export function hubView({ onOpen }) {
  const form = byId('hub', HTMLFormElement);
  const endpoint = byId('endpoint', HTMLInputElement);
  const repo = byId('repo', HTMLInputElement);
  const revision = byId('revision', HTMLInputElement);
  const token = byId('token', HTMLInputElement);
  const chips = byId('recent', HTMLUListElement);
  const names = byId('repos', HTMLDataListElement);

  const open = () =>
    onOpen({
      endpoint: endpoint.value.trim().replace(/\/+$/, ''),
      token: token.value.trim(),
      repo: repo.value,
      revision: revision.value.trim() || 'main',
    });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    open();
  });
  // Whoever goes on with a download after a reload enters the token again, and does not open anything.
  token.addEventListener('change', () => store.set({ token: token.value.trim() }));

  /** @param {import('../remembered.js').Place} place */
  const chip = (place) => {
    const click = () => {
      fill({ ...place, revision: '' });
      open();
    };
    return make('li', {}, make('button', { type: 'button', class: 'chip', click }, place.repo));
  };

  /** @param {{ endpoint?: string, repo?: string, revision?: string }} values */
  const fill = (values) => {
    // A token is for one Hub.
    if (values.endpoint && endpoint.value && values.endpoint !== endpoint.value) token.value = '';
    endpoint.value = values.endpoint ?? endpoint.value;
    repo.value = values.repo ?? repo.value;
    revision.value = values.revision ?? revision.value;
  };

  /**
   * @param {object} known
   * @param {string[]} known.endpoints
   * @param {import('../remembered.js').Place[]} known.places repositories to try
   * @param {(endpoint: string) => boolean} known.isGone
   */
  const offer = ({ endpoints, places, isGone }) => {
    byId('endpoints', HTMLDataListElement).replaceChildren(
      ...endpoints.map((address) => make('option', { value: address })),
    );
    const isOffered = (/** @type {import('../remembered.js').Place} */ place) =>
      places.some((other) => other.repo === place.repo && other.endpoint === place.endpoint);
    const recent = recall().places.filter((place) => !isGone(place.endpoint) && !isOffered(place));
    const all = [...recent.slice(0, MAX_RECENT), ...places];
    names.replaceChildren(
      ...[...new Set(all.map((place) => place.repo))].map((name) => make('option', { value: name })),
    );
    chips.replaceChildren(...all.map(chip));
  };

  return { fill, offer };
}
