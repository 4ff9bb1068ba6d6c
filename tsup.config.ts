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
  index: 'src/entries/index.ts',
  read: 'src/entries/read.ts',
  codec: 'src/entries/codec.ts',
  formats: 'src/entries/formats.ts',
  fetch: 'src/entries/fetch.ts',
  'service-worker': 'src/entries/service-worker.ts',
  compat: 'src/entries/compat.ts',
};

export default defineConfig([
  {
    ...common,
    entry: web,
    platform: 'browser',
    dts: { entry: web },
  },
  { ...common, entry: { 'codec.worker': 'src/entries/codec.worker.ts' }, platform: 'browser', splitting: false },
  {
    ...common,
    entry: {
      node: 'src/entries/index.ts',
      'read.node': 'src/entries/read.ts',
      'fetch.node': 'src/entries/fetch.ts',
      'codec.node': 'src/entries/codec.ts',
      'formats.node': 'src/entries/formats.ts',
      'compat.node': 'src/entries/compat.ts',
      'local-hub': 'src/entries/local-hub.ts',
      cli: 'src/entries/cli.ts',
    },
    platform: 'node',
    target: 'node20',
    dts: { entry: { 'local-hub': 'src/entries/local-hub.ts' } },
    banner,
  },
  {
    ...common,
    entry: {
      'codec.worker.node': 'src/entries/codec.worker.node.ts',
      'disk.worker.node': 'src/entries/disk.worker.node.ts',
      'transfer.worker.node': 'src/entries/transfer.worker.node.ts',
    },
    platform: 'node',
    target: 'node20',
    splitting: false,
  },
]);
