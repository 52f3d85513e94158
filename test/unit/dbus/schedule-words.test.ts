import { expect, test } from 'vitest';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { scheduleOf } from '../../../src/dbus/words/schedule-words.ts';
import { PRUNE_NOTHING } from '../../../src/engine/index.ts';

test('a schedule has timing, and what its operation needs', () => {
  expect(
    scheduleOf('n', '@daily', 'prune', {
      Types: variant('as', ['container', 'volume']),
      Until: variant('s', '24h'),
      KeepLabels: variant('as', ['keep']),
      DryRun: variant('b', true),
      TimeZone: variant('s', 'Europe/Berlin'),
      RandomDelay: variant('t', 1_500_000n),
      Persistent: variant('b', true),
    }),
  ).toEqual({
    name: 'n',
    cron: '@daily',
    timeZone: 'Europe/Berlin',
    missed: 'run-once',
    overlap: 'skip',
    randomDelaySeconds: 2,
    enabled: true,
    operation: {
      kind: 'prune',
      dryRun: true,
      request: {
        ...PRUNE_NOTHING,
        types: ['container', 'volume'],
        until: '24h',
        keep: { labels: ['keep'], newestTags: null },
      },
    },
  });
  expect(scheduleOf('p', '@daily', 'pull', { Reference: variant('s', 'leap:15') }).operation).toEqual({
    kind: 'pull',
    reference: 'leap:15',
  });
});

test.each([
  ['dance', {}, 'unknown operation "dance"'],
  ['pull', {}, 'key "Reference" is missing'],
  ['pull', { Container: variant('s', 'x') }, 'unknown key "Container"'],
  ['run-container', { Container: variant('s', '') }, 'key "Container" is missing'],
  ['prune', { Types: variant('as', ['pod']) }, 'unknown object type: pod'],
  ['prune', { Overlap: variant('s', 'pile-up') }, 'key "Overlap" must be one of skip, queue, replace'],
  ['prune', { RandomDelay: variant('s', '1h') }, 'key "RandomDelay" must be of type \'t\''],
])('%s with %j is refused', (operation, options, message) => {
  expect(() => scheduleOf('n', '@daily', operation, options)).toThrow(message);
});
