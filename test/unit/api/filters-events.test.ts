import { describe, expect, it } from 'vitest';
import { eventMatcher, EVENT_FILTERS } from '../../../src/api/filters/events.ts';
import { Filters } from '../../../src/api/filters/filters.ts';
import { Query } from '../../../src/api/query.ts';
import type { Timestamp } from '../../../src/base/clock.ts';
import type { EngineEvent } from '../../../src/engine/index.ts';

const EVENT: EngineEvent = {
  type: 'container',
  action: 'start',
  actorId: 'abcdef0123',
  attributes: { name: 'web-1', image: 'registry/app:2', tier: 'front' },
  time: 0n as Timestamp,
};

function matches(words: Record<string, readonly string[]>, event: Partial<EngineEvent> = {}): boolean {
  return eventMatcher(Filters.of(words, EVENT_FILTERS))({ ...EVENT, ...event });
}

describe('event filters', () => {
  it.each<[Record<string, readonly string[]>, Partial<EngineEvent>, boolean]>([
    [{ container: ['abc'] }, {}, true],
    [{ container: ['web'] }, {}, true],
    [{ container: ['other', 'web-1'] }, {}, true],
    [{ container: ['1'] }, {}, false],
    [{ image: ['registry/app'] }, {}, true],
    [{ image: ['registry/app:2'] }, {}, true],
    [{ image: ['app'] }, {}, false],
    [{ image: ['busybox'] }, { type: 'image', actorId: 'busybox:latest', attributes: { name: 'busybox' } }, true],
    [{ label: ['tier'] }, {}, true],
    [{ label: ['tier=front', 'name=web-1'] }, {}, true],
    [{ label: ['tier=back'] }, {}, false],
    [{ type: ['image', 'container'] }, {}, true],
    [{ type: ['volume'] }, {}, false],
    [{ scope: ['local'] }, {}, true],
    [{ scope: ['swarm'] }, {}, false],
    [{ event: ['start'] }, {}, true],
    [{ event: ['sta'] }, {}, false],
    [{ event: ['health_status'] }, { action: 'health_status: healthy' }, true],
    [{ event: ['health_status: healthy'] }, { action: 'health_status: unhealthy' }, false],
    [{ event: ['exec_create'] }, { action: 'exec_create: sh -c x' }, true],
    [{ event: ['exec_start', 'sta'] }, {}, true],
    [{ network: ['br'] }, { type: 'network', actorId: '99', attributes: { name: 'bridge' } }, true],
    [{ volume: ['da'] }, { type: 'volume', actorId: 'data', attributes: {} }, true],
    [{ daemon: ['host'] }, { type: 'daemon', actorId: 'id', attributes: { name: 'host1' } }, true],
    [{ container: ['web'], event: ['die'] }, {}, false],
  ])('%j on %j: %s', (words, event, expected) => {
    expect(matches(words, event)).toBe(expected);
  });

  it('come as a map or a list; others are refused', () => {
    const from = (filters: string): Filters => Filters.from(new Query(`filters=${filters}`), EVENT_FILTERS);
    expect(from('{"event":["die"]}').get('event')).toEqual(['die']);
    expect(from('{"event":{"die":true}}').get('event')).toEqual(['die']);
    expect(() => from('{"nope":["x"]}')).toThrow("invalid filter 'nope'");
    expect(() => from('[]')).toThrow('invalid filter');
  });

  it('take times with fractions', () => {
    expect(new Query('since=1.000000005').time('since')).toBe(1_000_000_005n);
    expect(new Query('since=0').time('since')).toBe(0n);
    expect(() => new Query('since=yesterday').time('since')).toThrow('invalid syntax');
  });
});
