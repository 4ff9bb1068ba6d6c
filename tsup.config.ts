import { defineConfig, type Options } from 'tsup';

// Everything is bundled, so that a page needs no import map; only pkg/ stays beside, found from where it is.
const common: Options = {
  format: 'esm',
  target: 'es2022',
  outDir: 'dist',
  external: ['../pkg/xetkit_codec.js', '@huggingface/hub'],
  // `@huggingface/hub` is what the drop-in falls back to, where it is installed.
  noExternal: [/^(?!\.|@huggingface\/hub$)/],
  treeshake: true,
  // None are shipped, and a file that names one it has not makes Vite complain to whoever uses it.
  sourcemap: false,
  silent: process.argv.includes('--silent'),
};

// Some of what is bundled is CommonJS and asks for Node's own modules in its way.
const banner = {
  js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
};

const web = {
  index: 'src/index.ts',
  download: 'src/download.ts',
  codec: 'src/codec.ts',
  fetch: 'src/fetch.ts',
  'service-worker': 'src/service-worker.ts',
  compat: 'src/compat.ts',
};

export default defineConfig([
  {
    ...common,
    entry: web,
    platform: 'browser',
    dts: { entry: web },
  },
  { ...common, entry: { 'codec.worker': 'workers/codec.worker.ts' }, platform: 'browser', splitting: false },
  {
    ...common,
    entry: {
      node: 'src/node.ts',
      'download.node': 'src/download.node.ts',
      'fetch.node': 'src/fetch.node.ts',
      'codec.node': 'src/codec.node.ts',
      'compat.node': 'src/compat.node.ts',
      'local-hub': 'src/local-hub.ts',
      cli: 'src/cli.ts',
    },
    platform: 'node',
    target: 'node20',
    dts: { entry: { node: 'src/node.ts', 'local-hub': 'src/local-hub.ts' } },
    banner,
  },
  {
    ...common,
    entry: { 'codec.worker.node': 'workers/codec.worker.node.ts', 'disk.worker.node': 'workers/disk.worker.node.ts' },
    platform: 'node',
    target: 'node20',
    splitting: false,
  },
]);
