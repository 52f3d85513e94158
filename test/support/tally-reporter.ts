import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** What one vitest run came to, for test/run: one line a fact, `passed N`, `failed TEXT`, `skipped TEXT: WHY`. */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const passed = tests.filter((test) => test.result().state === 'passed');
    const failed = tests.filter((test) => ['failed', 'pending'].includes(test.result().state));
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    // A file that cannot be loaded, or a suite whose hook fails, has errors of its own and perhaps no test.
    const broken = modules.filter((module) => errorsOf(module).length > 0);
    const lines = [
      `passed ${String(passed.length)}`,
      ...failed.map((test) => `failed ${place(test)}`),
      ...broken.map((module) => `failed ${module.relativeModuleId}: ${errorsOf(module)[0]?.message ?? ''}`),
      ...unhandled.map(({ message }) => `failed outside of any test: ${message}`),
      ...skipped.map((test) => `skipped ${place(test)}: ${reason(test)}`),
    ];
    const target = process.env['MOORED_TALLY'];
    if (target !== undefined) writeFileSync(target, lines.map((line) => `${line.replaceAll('\n', ' ')}\n`).join(''));
  }
}

function errorsOf(module: TestModule): readonly { readonly message: string }[] {
  return [module, ...module.children.allSuites()].flatMap((suite) => suite.errors());
}

function place(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

/** From `context.skip(why)`, else from the name: a suite under skipIf says it in `(skipped: why)`. */
function reason(test: TestCase): string {
  const result = test.result();
  if (result.state === 'skipped' && result.note !== undefined) return result.note;
  return /\(skipped: (.*?)\)/.exec(test.fullName)?.[1] ?? 'no reason given';
}
