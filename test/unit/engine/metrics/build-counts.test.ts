import { expect, it } from 'vitest';
import { EngineError, InvalidArgumentError } from '../../../../src/base/errors.ts';
import type { BuildRequest, Builds } from '../../../../src/engine/build/types.ts';
import { BuildFailure } from '../../../../src/engine/build/failure.ts';
import { BuildCounts } from '../../../../src/engine/metrics/build-counts.ts';
import { textOf } from '../../../../src/engine/metrics/exposition.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const REQUEST = {} as BuildRequest;
const scraped = (counts: BuildCounts): string =>
  counts
    .families()
    .flatMap((family) => [...textOf(family)])
    .join('');

it('counts builds, those that failed by reason, and how long they took', async () => {
  const clock = new FakeClock();
  const counts = new BuildCounts();
  let outcome: Error | null = null;
  const room = {
    build: async () => {
      await clock.advance(300);
      if (outcome !== null) throw outcome;
      return { id: 'sha256:1' };
    },
    cancel: () => true,
  } as unknown as Builds;
  const counted = counts.counting(room, clock);
  expect(scraped(counts)).toContain('builder_builds_failed_total{reason="build_canceled"} 0');
  expect(counted.cancel('x')).toBe(true);
  const build = async (error: Error | null, signal = new AbortController().signal): Promise<unknown> => {
    outcome = error;
    return counted.build(REQUEST, { sink: () => undefined, signal }).catch((reason: unknown) => reason);
  };
  expect(await build(null)).toEqual({ id: 'sha256:1' });
  const failure = new BuildFailure("The command 'x' returned a non-zero code: 3", 3);
  expect(await build(failure)).toBe(failure);
  for (const text of [
    'target stage "x" could not be found',
    'the Dockerfile (Dockerfile) cannot be empty',
    'failed to parse Dockerfile: file with no instructions [Dockerfile:1]',
    'dockerfile parse error on line 2: unknown instruction: FOO [Dockerfile:2]',
    'dockerfile parse error on line 2: ENV must have two arguments',
    "dockerfile parse error on line 3: FROM isn't allowed as an ONBUILD trigger",
  ])
    await build(new InvalidArgumentError(text));
  await build(new EngineError('internal', 'Build cancelled'));
  await build(new Error('the client has gone'), AbortSignal.abort());
  const text = scraped(counts);
  expect(text).toContain('builder_builds_triggered_total 10\n');
  expect(text).toContain('moored_builds_seconds_bucket{result="success",le="0.5"} 1');
  expect(text).toContain('moored_builds_seconds_count{result="failure"} 9');
  const failed = Object.fromEntries(
    [...text.matchAll(/failed_total\{reason="(\w+)"\} (\d+)/g)].map(([, reason, count]) => [reason, Number(count)]),
  );
  expect(failed).toEqual({
    build_canceled: 2,
    build_target_not_reachable_error: 1,
    command_not_supported_error: 1,
    dockerfile_empty_error: 2,
    dockerfile_syntax_error: 1,
    error_processing_commands_error: 1,
    missing_onbuild_arguments_error: 0,
    unknown_instruction_error: 1,
  });
});
