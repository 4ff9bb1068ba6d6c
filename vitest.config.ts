import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const built = (name: string) => fileURLToPath(new URL(`./dist/${name}.js`, import.meta.url));

export default defineConfig({
  test: {
    include: ['test/!(interop|faults)/**/*.test.ts', 'test/*.test.ts'],
    // Tests use the package as it ships: workers and WASM from dist/, which `npm test` builds first.
    alias: { 'xetkit/codec': built('codec.node'), 'xetkit/local-hub': built('local-hub'), xetkit: built('node') },
    testTimeout: 60_000,
  },
});
