/** Properties under which undici, of Node or from npm, keeps the dispatcher of its `fetch`. */
const GLOBALS = [Symbol.for('undici.globalDispatcher.1'), Symbol.for('undici.globalDispatcher.2')];
/** Classes of the dispatchers that Node sets itself when its `fetch` is used. Others need no closer look. */
const DEFAULT_CLASSES = /^(?:Agent|Dispatcher1Wrapper|EnvHttpProxyAgent)$/;

const judged = new WeakMap<object, boolean>();

/**
 * True if this process has set a dispatcher for `fetch`: a proxy, an agent with client certificates, a mock. Node sets one of
 * its own when `fetch` is first used, which does not count.
 */
export function hasCustomDispatcher(): boolean {
  return GLOBALS.some((name) => {
    const dispatcher = (globalThis as Record<symbol, unknown>)[name];
    if (typeof dispatcher !== 'object' || dispatcher === null) return false;
    const known = judged.get(dispatcher);
    if (known !== undefined) return known;
    const custom = !isNodes(dispatcher);
    judged.set(dispatcher, custom);
    return custom;
  });
}

/** Node's dispatcher is told from one of the package of the same name by where its code is: in a stack trace. */
function isNodes(dispatcher: { dispatch?: unknown }): boolean {
  const { dispatch } = dispatcher;
  if (!DEFAULT_CLASSES.test(dispatcher.constructor?.name) || typeof dispatch !== 'function') return false;
  try {
    // Without a handler nothing is sent: it throws at once.
    dispatch.call(dispatcher, {}, undefined);
    return false;
  } catch (error) {
    return error instanceof Error && /^\s*at .*\bnode:internal\/deps\/undici\//m.test(error.stack ?? '');
  }
}
