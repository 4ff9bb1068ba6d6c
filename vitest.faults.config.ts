import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: ['test/faults/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Kills and full disks meet a process wherever it happens to be: what is wrong must show twice, and is told each time.
    retry: 1,
    // What is left of a test file's Hub, children and mounts must not meet the next one.
    fileParallelism: false,
  },
});
