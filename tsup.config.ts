import { defineConfig, type Options } from 'tsup';

// Everything is bundled, so that a page needs no import map; only pkg/ stays beside, found from where it is.
const common: Options = {
  format: 'esm',
  target: 'es2022',
  outDir: 'dist',
  external: ['../pkg/xetkit_codec.js'],
  noExternal: [/^(?!\.)/],
  treeshake: true,
  sourcemap: true,
  silent: process.argv.includes('--silent'),
};

export default defineConfig([
  {
    ...common,
    entry: { index: 'src/index.ts', codec: 'src/codec.ts' },
    platform: 'browser',
    dts: { entry: { index: 'src/index.ts', codec: 'src/codec.ts' } },
  },
  { ...common, entry: { 'codec.worker': 'workers/codec.worker.ts' }, platform: 'browser', splitting: false },
  {
    ...common,
    entry: {
      node: 'src/node.ts',
      'codec.node': 'src/codec.node.ts',
      'local-hub': 'src/local-hub.ts',
      cli: 'src/cli.ts',
    },
    platform: 'node',
    target: 'node20',
    dts: { entry: { node: 'src/node.ts', 'local-hub': 'src/local-hub.ts' } },
    // Some of what is bundled is CommonJS and asks for Node's own modules in its way.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  },
  {
    ...common,
    entry: { 'codec.worker.node': 'workers/codec.worker.node.ts' },
    platform: 'node',
    target: 'node20',
    splitting: false,
  },
]);
