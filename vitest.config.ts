import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;

/**
 * One project a kind of test. Unit tests run side by side; the others share the machine's mounts, links and
 * cgroups, so one file runs at a time, and the kinds run one after another.
 */
export default defineConfig({
  cacheDir: 'node_modules/.cache/vitest',
  test: {
    pool: 'forks',
    projects: [
      kind('unit', 0, { fileParallelism: true, testTimeout: 10_000, hookTimeout: 10_000 }),
      kind('contract', 1, { fileParallelism: false, testTimeout: 30_000, hookTimeout: 30_000 }),
      kind('fault', 2, { fileParallelism: false, testTimeout: 30_000, hookTimeout: 30_000 }),
      kind('integration', 3, { fileParallelism: false, testTimeout: MINUTE_MS, hookTimeout: MINUTE_MS }),
      kind('system', 4, {
        fileParallelism: false,
        testTimeout: MINUTE_MS,
        hookTimeout: MINUTE_MS,
        globalSetup: ['test/support/installed-tree.ts'],
      }),
    ],
  },
});

interface Limits {
  readonly fileParallelism: boolean;
  readonly testTimeout: number;
  readonly hookTimeout: number;
  readonly globalSetup?: string[];
}

function kind(name: string, groupOrder: number, limits: Limits) {
  return {
    extends: true as const,
    test: { name, include: [`test/${name}/**/*.test.ts`], sequence: { groupOrder }, ...limits },
  };
}
