import { configDefaults, defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

/** Tests of single modules and of the package that take too long for every `npm test`. */
export default defineConfig({
  test: {
    ...base.test,
    include: ['test/**/*.slow.test.ts'],
    exclude: configDefaults.exclude,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
