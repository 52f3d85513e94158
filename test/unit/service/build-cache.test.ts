import { describe, expect, it, test } from 'vitest';
import { cacheLimitsOf } from '../../../src/service/compose/build-cache.ts';
import { load, type Given } from '../config/sources.ts';

const json = (gc: object, key = 'gc'): Given => ({ json: { builder: { [key]: gc } } });

describe('the limits of the build cache', () => {
  it('are BuildKit’s unless something is said', () => {
    const usual = { kind: 'usual', reservedBytes: null, maxUsedBytes: null, minFreeBytes: null };
    expect(cacheLimitsOf(load({}))).toEqual(usual);
    expect(cacheLimitsOf(load(json({ enabled: true })))).toEqual(usual);
    expect(cacheLimitsOf(load(json({ enabled: false })))).toEqual({ kind: 'none' });
  });

  test.each<[string, Given, object]>([
    ['a size', json({ defaultReservedSpace: '2GB', defaultMinFreeSpace: '1k' }), { reservedBytes: 2 ** 31, minFreeBytes: 1024 }], // prettier-ignore
    ['its former name', json({ defaultKeepStorage: '20GB' }), { reservedBytes: 20 * 2 ** 30 }],
    ['both names', json({ defaultKeepStorage: '1GB', defaultReservedSpace: '2GB' }), { reservedBytes: 2 ** 31 }],
    ['names in another case', json({ DefaultMaxUsedSpace: '1m' }, 'GC'), { maxUsedBytes: 2 ** 20 }],
    ['flags', { argv: ['--builder-gc', 'defaultReservedSpace=5m'] }, { reservedBytes: 5 * 2 ** 20 }],
    ['an off flag', { argv: ['--builder-gc=enabled=false'] }, { kind: 'none' }],
  ])('are taken: %s', (_name, given, expected) => {
    expect(cacheLimitsOf(load(given))).toMatchObject(expected);
  });

  it('are a policy’s rules in their order', () => {
    const policy = [
      { reservedSpace: '10GB', filter: ['Unused-For = 2200h', 'type=exec.cachemount'] },
      { keepStorage: '50GB', filter: { 'unused-for': { '3300h': true } } },
      { reservedSpace: '100GB', minFreeSpace: '10GB', maxUsedSpace: '200GB', all: true },
    ];
    const GIGA = 2 ** 30;
    const none = { keepBytes: null, maxUsedBytes: null, minFreeBytes: null, until: null, all: false };
    expect(cacheLimitsOf(load(json({ policy, defaultReservedSpace: '1GB' })))).toEqual({
      kind: 'policy',
      rules: [
        { ...none, keepBytes: 10 * GIGA, until: '2200h', filters: new Map([['type', ['exec.cachemount']]]) },
        { ...none, keepBytes: 50 * GIGA, until: '3300h', filters: new Map() },
        { ...none, keepBytes: 100 * GIGA, minFreeBytes: 10 * GIGA, maxUsedBytes: 200 * GIGA, all: true, filters: new Map() }, // prettier-ignore
      ],
    });
  });

  test.each<[Given, string]>([
    [json({ defaultReservedSpace: 'much' }), "failed to parse defaultRESERVEDSPACE: invalid size: 'much'"],
    [json({ policy: [{ maxUsedSpace: 'x' }] }), "failed to parse maxUsedSpace: invalid size: 'x'"],
    [json({ policy: [{ filter: ['colour=red'] }] }), "invalid filter 'colour'"],
    [json({ policy: [{ filter: ['until=soon'] }] }), '"until" filter expects a duration'],
    [json({ policy: [{ filter: ['until=1h', 'unused-for=2h'] }] }), 'filters expect only one value'],
    [json({ policy: {} }), 'json: cannot unmarshal object into Go struct field Config.builder of type []config'],
    [json({ enabled: 'yes' }), 'of type bool'],
    [{ json: { builder: 7 } }, 'json: cannot unmarshal number into Go struct field Config.builder of type'],
    [{ argv: ['--builder-gc=size=1'] }, "unknown option of the builder's gc: size"],
    [{ argv: ['--builder-gc=policy={'] }, 'JSON'],
  ])('are refused: %j', (given, text) => {
    expect(() => load(given)).toThrow(text);
  });

  it('are all of the builder that is configured', () => {
    const { problems } = load({ json: { builder: { entitlements: { 'network-host': false } } } });
    expect(problems).toMatchObject([{ severity: 'warning', subject: 'builder.entitlements' }]);
  });
});
