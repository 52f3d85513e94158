import { expect, test } from 'vitest';
import { silentLogger } from '../../../../src/base/logger.ts';
import { createPrune } from '../../../../src/engine/prune/index.ts';
import { PRUNE_NOTHING } from '../../../../src/engine/prune/types.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeBuilds } from '../../../support/fake-builds.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';

test.each([
  [[], ['base-1', 'base.x', 'web']],
  [['web'], ['base-1', 'base.x']],
  [['base*'], ['web']],
  [['base.?'], ['base-1', 'web']],
  [
    ['BASE*', 'w'],
    ['base-1', 'base.x', 'web'],
  ],
])('containers that %j keeps by their names stay', async (names, expected) => {
  const clock = new FakeClock();
  const { containers, images, networks, volumes } = new FakeEngine(clock);
  for (const name of ['base-1', 'base.x', 'web']) {
    await containers.create({ name, spec: { ...exampleSpec(), image: 'busybox' }, frontDocument: null });
  }
  const prune = createPrune({
    containers,
    images,
    networks,
    volumes,
    builds: new FakeBuilds(),
    clock,
    logger: silentLogger,
    events: { publish: () => undefined },
  });
  const keep = { labels: [], newestTags: null, names };
  const { victims } = await prune.preview({ ...PRUNE_NOTHING, types: ['container'], keep });
  expect(victims.map(({ name }) => name).sort()).toEqual(expected);
});

test.each([
  ['busybox', []],
  ['busybox:latest', []],
  ['busybox:1*', ['busybox:latest']],
])('images that %s keeps stay, by name with and without tag', async (name, expected) => {
  const clock = new FakeClock();
  const { containers, images, networks, volumes } = new FakeEngine(clock);
  const prune = createPrune({
    containers,
    images,
    networks,
    volumes,
    builds: new FakeBuilds(),
    clock,
    logger: silentLogger,
    events: { publish: () => undefined },
  });
  const keep = { labels: [], newestTags: null, names: [name] };
  const { victims } = await prune.preview({ ...PRUNE_NOTHING, types: ['image'], danglingOnly: false, keep });
  expect(victims.map((victim) => victim.name)).toEqual(expected);
});
