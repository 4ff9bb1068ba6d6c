import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

/** They count what is lost with a process, fill disks or measure memory: nothing else may run beside them. */
const ALONE = ['kill', 'disk', 'memory', 'processes'].map((name) => `test/faults/${name}.test.ts`);

const common = {
  ...base.test,
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'side by side',
          include: ['test/faults/**/*.test.ts'],
          exclude: ALONE,
          // Waiting is most of what they do.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...common, name: 'alone', include: ALONE, fileParallelism: false, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
