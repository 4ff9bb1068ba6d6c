import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: { ...base.test, include: ['test/shardline/**/*.test.ts'], testTimeout: 180_000, hookTimeout: 120_000 },
});
