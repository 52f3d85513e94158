import { defineConfig } from 'vitest/config';

const MINUTE_MS = 60_000;
const PATIENCE_MS = 20_000;

/**
 * One project a kind of test. Unit tests run side by side; the others share the machine's mounts, links and
 * cgroups, so one file runs at a time, and the kinds run one after another.
 */
export default defineConfig({
  cacheDir: 'node_modules/.cache/vitest',
  test: {
    pool: 'forks',
    // What comes is awaited as long as a busy machine may need: vitest's own second is a matter of luck.
    expect: { poll: { timeout: PATIENCE_MS } },
    // As the daemon runs: see docs/decisions/0099.
    execArgv: ['--wasm-wrapper-tiering-budget=2147483647'],
    projects: [
      kind('unit', 0, { fileParallelism: true, testTimeout: 30_000, hookTimeout: 30_000 }),
      kind('contract', 1, { fileParallelism: false, testTimeout: MINUTE_MS, hookTimeout: MINUTE_MS }),
      kind('fault', 2, { fileParallelism: false, testTimeout: 2 * MINUTE_MS, hookTimeout: 2 * MINUTE_MS }),
      kind('integration', 3, { fileParallelism: false, testTimeout: 2 * MINUTE_MS, hookTimeout: 2 * MINUTE_MS }),
      kind('system', 4, {
        fileParallelism: false,
        testTimeout: 2 * MINUTE_MS,
        hookTimeout: 2 * MINUTE_MS,
        globalSetup: ['test/support/installed-tree.ts'],
      }),
      // Emulated machines: seconds become minutes when the machine below is busy.
      kind('vm', 5, {
        fileParallelism: false,
        testTimeout: 10 * MINUTE_MS,
        hookTimeout: 10 * MINUTE_MS,
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
  // Takes away what a test that was cut off has left.
  const setupFiles = name === 'unit' ? [] : ['test/support/end-of-file.ts'];
  return {
    extends: true as const,
    test: { name, include: [`test/${name}/**/*.test.ts`], sequence: { groupOrder }, setupFiles, ...limits },
  };
}
