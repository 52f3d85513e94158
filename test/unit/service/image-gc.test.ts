import { describe, expect, it, test } from 'vitest';
import { imageGcRulesOf, imageGcSchedules } from '../../../src/service/compose/image-gc.ts';
import { load, type Given } from '../config/sources.ts';

describe('the rules of image collection', () => {
  it('are off, and sensible once they are on', () => {
    expect(imageGcRulesOf(load({}))).toEqual({
      isOn: false,
      isDryRun: false,
      unusedFor: '720h',
      keepNewestTags: 1,
      keepLabels: ['moored.keep', 'org.moored.keep'],
      space: { highPercent: 85, lowPercent: 80 },
    });
    expect(imageGcSchedules(load({}))).toEqual([]);
    const [schedule] = imageGcSchedules(load({ sysconfig: 'DOCKER_IMAGE_GC="yes"\n' }));
    expect(schedule).toMatchObject({
      origin: 'sysconfig',
      definition: { name: 'image-gc', cron: '30 3 * * *', operation: { kind: 'image-gc', dryRun: false } },
    });
  });

  test.each<[string, Given, object]>([
    ['a number that is 0', { json: { 'image-gc-keep-tags': 0 } }, { keepNewestTags: 0 }],
    ['no mark', { json: { 'image-gc-high-water': 0 } }, { space: null }],
    ['no age', { argv: ['--image-gc-age=never'] }, { unusedFor: null }],
    [
      'labels in place of ours',
      { json: { 'image-gc-keep-labels': ['team=a', 'keep'] } },
      { keepLabels: ['moored.keep', 'team=a', 'keep'] },
    ],
    [
      'variables',
      { sysconfig: 'DOCKER_IMAGE_GC_LOW_WATER="10"\nDOCKER_IMAGE_GC_DRY_RUN="yes"\n' },
      { isDryRun: true, space: { highPercent: 85, lowPercent: 10 } },
    ],
  ])('%s', (_name, given, expected) => {
    expect(imageGcRulesOf(load(given))).toMatchObject(expected);
  });

  it('need no schedule', () => {
    expect(imageGcSchedules(load({ json: { 'image-gc': true, 'image-gc-schedule': 'never' } }))).toEqual([]);
    const [schedule] = imageGcSchedules(
      load({ json: { 'image-gc': true, 'image-gc-schedule': '@weekly', 'image-gc-dry-run': true } }),
    );
    expect(schedule).toMatchObject({
      origin: 'daemon.json',
      definition: { cron: '@weekly', operation: { dryRun: true } },
    });
  });

  test.each<[Given, string]>([
    [{ argv: ['--image-gc-age=long'] }, 'invalid image-gc-age "long"'],
    [{ argv: ['--image-gc-schedule=nightly'] }, 'nightly'],
    [{ argv: ['--image-gc-low-water=85'] }, 'image-gc-low-water (85) must be below image-gc-high-water (85)'],
    [{ argv: ['--image-gc-high-water=101'] }, 'invalid image gc high water: 101'],
    [{ argv: ['--image-gc-keep-tags=-1'] }, 'invalid image gc keep tags: -1'],
  ])('%j is refused', (given, text) => {
    expect(() => load(given)).toThrow(text);
  });
});
