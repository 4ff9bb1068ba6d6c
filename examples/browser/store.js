// @ts-check
// One object holds all that the page shows. Whoever changes it says what is new; views draw it a moment later.

/** Often enough for the eye, and seldom enough that a fast download does not spend its time on drawing. */
const DRAW_EVERY_MS = 60;

/**
 * @template {object} State
 * @param {State} initial
 */
export function createStore(initial) {
  let state = initial;
  /** @type {((state: State) => void)[]} */
  const views = [];
  let waiting = false;
  // Not an animation frame: those stop in a tab in the background, whose title is to go on showing how far it is.
  const draw = () => {
    waiting = false;
    for (const view of views) view(state);
  };
  return {
    get: () => state,
    /** @param {Partial<State>} news */
    set(news) {
      state = { ...state, ...news };
      if (waiting) return;
      waiting = true;
      setTimeout(draw, DRAW_EVERY_MS);
    },
    /** @param {(state: State) => void} view */
    show(view) {
      views.push(view);
      view(state);
    },
  };
}
