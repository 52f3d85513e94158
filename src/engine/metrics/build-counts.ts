import { messageOf } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Builds } from '../build/types.ts';
import { labelText, type Family } from './exposition.ts';
import { Histogram } from './histogram.ts';

/** dockerd's reasons, all of which are shown from the start. */
const REASONS = [
  'build_canceled',
  'build_target_not_reachable_error',
  'command_not_supported_error',
  'dockerfile_empty_error',
  'dockerfile_syntax_error',
  'error_processing_commands_error',
  'missing_onbuild_arguments_error',
  'unknown_instruction_error',
] as const;
type Reason = (typeof REASONS)[number];

/** What a message of the builder says of the reason: its texts are Docker's. The first that fits. */
const BY_TEXT: readonly (readonly [RegExp, Reason])[] = [
  [/^target stage .* could not be found/, 'build_target_not_reachable_error'],
  [/^the Dockerfile \(.*\) cannot be empty|file with no instructions/s, 'dockerfile_empty_error'],
  [/unknown instruction/i, 'unknown_instruction_error'],
  [/isn't allowed as an ONBUILD trigger/, 'command_not_supported_error'],
  [
    /^(?:failed to parse|dockerfile parse error)|no build stage in current context|no stages to build/,
    'dockerfile_syntax_error',
  ],
];
const MS_PER_SECOND = 1000;

/** How many builds there were, how long they took, and why they failed: dockerd's families, and one of ours. */
export class BuildCounts {
  readonly #times = new Histogram('moored_builds_seconds', {
    help: 'The number of seconds that image builds took',
    label: 'result',
  });
  readonly #failed = new Map<Reason, number>(REASONS.map((reason) => [reason, 0]));
  #triggered = 0;

  constructor() {
    for (const result of ['failure', 'success']) this.#times.announce(result);
  }

  /** The room with its builds counted. */
  counting<T extends Builds>(builds: T, clock: Clock): T {
    const build: Builds['build'] = async (request, options) => {
      const startMs = clock.monotonicMs();
      this.#triggered += 1;
      let result = 'failure';
      try {
        const made = await builds.build(request, options);
        result = 'success';
        return made;
      } catch (error) {
        const reason = options.signal.aborted ? 'build_canceled' : reasonOf(error);
        this.#failed.set(reason, (this.#failed.get(reason) ?? 0) + 1);
        throw error;
      } finally {
        this.#times.observe(result, (clock.monotonicMs() - startMs) / MS_PER_SECOND);
      }
    };
    return { ...builds, build };
  }

  families(): readonly Family[] {
    return [
      {
        name: 'builder_builds_failed_total',
        help: 'Number of failed image builds',
        type: 'counter',
        samples: [...this.#failed].map(([reason, value]) => ({ labels: labelText({ reason }), value })),
      },
      {
        name: 'builder_builds_triggered_total',
        help: 'Number of triggered image builds',
        type: 'counter',
        samples: [{ labels: '', value: this.#triggered }],
      },
      this.#times.family(),
    ];
  }
}

function reasonOf(error: unknown): Reason {
  const text = messageOf(error);
  if (text === 'Build cancelled') return 'build_canceled';
  return BY_TEXT.find(([pattern]) => pattern.test(text))?.[1] ?? 'error_processing_commands_error';
}
