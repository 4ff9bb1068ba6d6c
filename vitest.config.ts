import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const built = (name: string) => fileURLToPath(new URL(`./dist/${name}.js`, import.meta.url));

export default defineConfig({
  test: {
    include: ['test/!(interop|faults|browser|clients|projects|nginx|shardline)/**/*.test.ts', 'test/*.test.ts'],
    // Tests that take long have a command of their own: npm run test:slow.
    exclude: [...configDefaults.exclude, 'test/packaging/browser/**', '**/*.slow.test.ts'],
    // Tests use the package as it ships: workers and WASM from dist/, which `npm test` builds first.
    alias: {
      'xetkit/read': built('read.node'),
      'xetkit/fetch': built('fetch.node'),
      'xetkit/codec': built('codec.node'),
      'xetkit/formats': built('formats.node'),
      'xetkit/compat': built('compat.node'),
      'xetkit/local-hub': built('local-hub'),
      xetkit: built('node'),
    },
    setupFiles: ['./test/support/isolate.ts'],
    testTimeout: 60_000,
    // Servers and clients of many tests wait for each other; one worker would leave a processor without work.
    maxWorkers: 2,
  },
});
