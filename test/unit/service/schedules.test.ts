import { describe, expect, it } from 'vitest';
import { cgroupDriverOf } from '../../../src/service/compose/engine-options.ts';
import { configuredSchedules } from '../../../src/service/compose/schedules.ts';
import { load } from '../config/sources.ts';

describe('the prune that the configuration asks for', () => {
  it('is none without a schedule', () => {
    expect(configuredSchedules(load({ sysconfig: 'DOCKER_PRUNE_KEEP="x"\n' }))).toEqual([]);
  });

  it('comes out of the sysconfig file with its rules', () => {
    const sysconfig = [
      'DOCKER_PRUNE_SCHEDULE="@weekly"',
      'DOCKER_PRUNE_FILTER="until=240h label=a=b label!=c"',
      'DOCKER_PRUNE_KEEP="newest-tags=3 label=team base*"',
      'DOCKER_PRUNE_TARGETS="containers all-images all-volumes"',
      'DOCKER_PRUNE_DRY_RUN="yes"',
      '',
    ].join('\n');
    expect(configuredSchedules(load({ sysconfig }))).toMatchObject([
      {
        origin: 'sysconfig',
        definition: {
          name: 'prune',
          cron: '@weekly',
          missed: 'run-once',
          operation: {
            dryRun: true,
            request: {
              types: ['container', 'image', 'volume'],
              until: '240h',
              labels: ['a=b'],
              withoutLabels: ['c'],
              danglingOnly: false,
              namedVolumes: true,
              keep: { labels: ['moored.keep', 'team'], newestTags: 3, names: ['base*'] },
            },
          },
        },
      },
    ]);
  });

  it('comes out of daemon.json, and takes little by default', () => {
    const [schedule] = configuredSchedules(load({ json: { 'prune-schedule': '0 3 * * 0' } }));
    expect(schedule).toMatchObject({
      origin: 'daemon.json',
      definition: {
        operation: { dryRun: false, request: { danglingOnly: true, namedVolumes: false, until: null } },
      },
    });
  });
});

describe('the cgroup driver', () => {
  const driver = (options: readonly string[], version: '1' | '2', systemd: boolean): string =>
    cgroupDriverOf(load({ json: { 'exec-opts': options } }), version, systemd);

  it('is systemd where systemd has a unified tree, else cgroupfs, unless told', () => {
    expect(driver([], '2', true)).toBe('systemd');
    expect(driver([], '2', false)).toBe('cgroupfs');
    expect(driver([], '1', true)).toBe('cgroupfs');
    expect(driver(['native.cgroupdriver=systemd'], '1', true)).toBe('systemd');
    expect(driver(['native.cgroupdriver=cgroupfs'], '2', true)).toBe('cgroupfs');
  });

  it.each([
    [['native.cgroupdriver=systemd'], 'needs systemd as PID 1'],
    [['native.cgroupdriver=none'], 'native.cgroupdriver option none not supported'],
    [['native.cgroupdriver=other'], 'native.cgroupdriver option other not supported'],
  ])('is not %j', (options, text) => {
    expect(() => driver(options, '2', false)).toThrow(text);
  });
});
