import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: { ...base.test, include: ['test/nginx/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 60_000 },
});
