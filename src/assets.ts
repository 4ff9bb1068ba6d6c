// Two files of the package are loaded while it runs: the codec worker and the WebAssembly module. This file stays one
// folder below the root, as built files do.

// webpack puts paths of the machine that it runs on for `import.meta.url`, except where it sees that nobody gets.
declare const __webpack_require__: unknown;

/** URL of this script; undefined in webpack bundles. */
export const scriptUrl: string | undefined =
  typeof __webpack_require__ === 'function' ? undefined : (import.meta.url ?? startingScript());

const isModule = typeof __webpack_require__ === 'function' || Boolean(import.meta.url);

/** A bundle that is no module has no `import.meta.url`, but while it starts, its page knows its address. */
function startingScript(): string | undefined {
  if (typeof document !== 'undefined') return (document.currentScript as HTMLScriptElement | null)?.src || undefined;
  return typeof location === 'undefined' ? undefined : location.href;
}

/** URL of the WebAssembly module, in a form that bundlers recognise. */
export const wasmUrl = () => new URL('../pkg/xetkit_codec_bg.wasm', import.meta.url);

/** URLs of worker and module where the bundler's rewritten names lead nowhere. */
export function assetOverrides(): { worker: URL; wasm: URL } | undefined {
  if (!isModule) {
    return { worker: new URL('codec.worker.js', scriptUrl), wasm: new URL('xetkit_codec_bg.wasm', scriptUrl) };
  }
  // Vite before version 8 serves copies of packages' scripts while a project is worked on, and of no other files.
  const [modules, copy] = wasmUrl().href.split('/.vite/', 2);
  if (copy === undefined) return undefined;
  const home = `${modules}/xetkit/`;
  return { worker: new URL('dist/codec.worker.js', home), wasm: new URL('pkg/xetkit_codec_bg.wasm', home) };
}
