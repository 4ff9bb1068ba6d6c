import { configDefaults, defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: ['test/browser/**/*.test.ts', 'test/packaging/browser/**/*.test.ts'],
    exclude: configDefaults.exclude,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Pages wait for shaped networks most of the time.
    maxWorkers: 2,
    // A browser that is missing is skipped, but not where all are expected to be there.
    env: process.env.CI ? { XETKIT_BROWSERS: 'required' } : {},
  },
});
