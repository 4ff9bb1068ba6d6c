// @ts-check
import { store } from '../state.js';
import { byId, make } from './dom.js';

/** What happened, newest first. */
export function journalView() {
  const card = byId('journal-card', HTMLElement);
  const list = byId('journal', HTMLOListElement);
  /** @type {import('../state.js').State['notes']} */
  let shown = [];
  store.show(({ notes }) => {
    if (notes === shown) return;
    // Only what is new is added: a list that is made anew would be read out anew.
    const known = shown[0];
    const count = known ? notes.indexOf(known) : notes.length;
    const fresh = count < 0 ? notes : notes.slice(0, count);
    shown = notes;
    card.hidden = notes.length === 0;
    list.prepend(
      ...fresh.map(({ at, text, tone }) =>
        make('li', { 'data-tone': tone }, make('time', {}, at.toLocaleTimeString('en-GB')), make('span', {}, text)),
      ),
    );
    while (list.children.length > notes.length) list.lastChild?.remove();
  });
}
