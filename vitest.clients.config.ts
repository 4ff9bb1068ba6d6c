import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: ['test/clients/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    // What is missing is told and skipped, but not where all is expected to be there.
    env: process.env.CI ? { XETKIT_CLIENTS: 'required' } : {},
  },
});
