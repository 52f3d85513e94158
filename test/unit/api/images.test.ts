/** What requests about images ask of the engine, and how versions differ. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EngineEvent } from '../../../src/engine/index.ts';
import { TestApi } from '../../support/api-server.ts';

const ARM = { os: 'linux', architecture: 'arm', variant: 'v7' };
const ARM_TEXT = encodeURIComponent(JSON.stringify(ARM));
const filters = (words: unknown): string => `filters=${encodeURIComponent(JSON.stringify(words))}`;

let api: TestApi;

beforeAll(async () => {
  api = await TestApi.start();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});
beforeEach(() => {
  vi.restoreAllMocks();
});

describe('GET /images/json', () => {
  it('hands all filters on, however they are written', async () => {
    const list = vi.spyOn(api.engine.images, 'list');
    const words = {
      reference: ['a*', 'b'],
      dangling: ['false'],
      label: ['l'],
      'label!': ['m'],
      before: ['x'],
      since: ['y'],
      until: ['24h'],
    };
    await api.call('GET', `/images/json?all=1&${filters(words)}`);
    const asMap = Object.fromEntries(
      Object.entries(words).map(([name, values]) => [name, Object.fromEntries(values.map((value) => [value, true]))]),
    );
    await api.call('GET', `/v1.40/images/json?all=1&filter=c&${filters(asMap)}`);
    const expected = {
      all: true,
      references: ['a*', 'b'],
      dangling: false,
      labels: ['l'],
      withoutLabels: ['m'],
      before: ['x'],
      since: ['y'],
      until: ['24h'],
    };
    expect(list.mock.calls.map(([filter]) => filter)).toEqual([
      expected,
      { ...expected, references: ['a*', 'b', 'c'] },
    ]);
    list.mockClear();
    await api.call('GET', '/v1.41/images/json?filter=c');
    expect(list.mock.calls.map(([{ references }]) => references)).toEqual([[]]);
  });

  it('counts containers from 1.51 on, shared bytes from 1.42 on and when asked', async () => {
    const rows = async (path: string) => (await api.call('GET', path)).json[0];
    expect(await rows('/v1.51/images/json')).toMatchObject({ Containers: 0, SharedSize: -1 });
    expect(await rows('/v1.50/images/json?shared-size=1')).toMatchObject({ Containers: -1, SharedSize: 0 });
    expect(await rows('/v1.41/images/json?shared-size=1')).toMatchObject({ Containers: -1, SharedSize: -1 });
  });

  it.each([
    [{ dangling: [] }, "invalid filter 'dangling'"],
    [{ dangling: ['true', 'false'] }, "invalid filter 'dangling=[true false]'"],
    [{ nosuch: ['x'] }, "invalid filter 'nosuch'"],
    [['x'], 'invalid filter'],
  ])('refuses %j', async (words, message) => {
    const { status, json } = await api.call('GET', `/images/json?${filters(words)}`);
    expect([status, json]).toEqual([400, { message }]);
  });
});

describe('the platform of a request', () => {
  it('is asked for by inspect from 1.49 on, by history from 1.48 on', async () => {
    const get = vi.spyOn(api.engine.images, 'get');
    const history = vi.spyOn(api.engine.images, 'history');
    await api.call('GET', `/v1.48/images/busybox/json?platform=${ARM_TEXT}`);
    await api.call('GET', `/v1.49/images/busybox/json?platform=${ARM_TEXT}`);
    expect(get.mock.calls).toEqual([
      ['busybox', null],
      ['busybox', ARM],
    ]);
    await api.call('GET', `/v1.47/images/busybox/history?platform=${ARM_TEXT}`);
    await api.call('GET', `/v1.48/images/busybox/history?platform=${ARM_TEXT}`);
    expect(history.mock.calls).toEqual([
      ['busybox', null],
      ['busybox', ARM],
    ]);
  });

  it('is one at most when removing, from 1.50 on', async () => {
    const remove = vi
      .spyOn(api.engine.images, 'remove')
      .mockResolvedValue([{ untagged: 'x:1' }, { deleted: 'sha256:1' }]);
    const { json } = await api.call('DELETE', `/v1.50/images/x?noprune=1&platforms=${ARM_TEXT}`);
    expect(json).toEqual([{ Untagged: 'x:1' }, { Deleted: 'sha256:1' }]);
    await api.call('DELETE', `/v1.49/images/x?force=true&platforms=${ARM_TEXT}&platforms=${ARM_TEXT}`);
    expect(remove.mock.calls).toEqual([
      ['x', { force: false, prune: false, platform: ARM }],
      ['x', { force: true, prune: true, platform: null }],
    ]);
  });

  it.each([
    ['DELETE', `/images/x?platforms=${ARM_TEXT}&platforms=${ARM_TEXT}`, 'multiple platforms are not supported'],
    ['DELETE', '/images/x?platforms={}', 'both OS and Architecture must be provided'],
    ['DELETE', '/images/%20', 'image name cannot be blank'],
    ['DELETE', '/images/', 'image name cannot be blank'],
    [
      'GET',
      `/images/busybox/json?manifests=1&platform=${ARM_TEXT}`,
      'conflicting options: manifests and platform options cannot both be set',
    ],
    [
      'GET',
      '/images/busybox/json?platform={%22variant%22:%22v7%22}',
      'optional platform fields provided, but OS and Architecture are missing',
    ],
    [
      'GET',
      '/images/busybox/history?platform=linux',
      "failed to parse platform: invalid character 'l' looking for beginning of value",
    ],
    [
      'POST',
      '/containers/create?platform=bogus',
      '"bogus": unknown operating system or architecture: invalid argument',
    ],
  ])('%s %s is refused', async (method, path, message) => {
    const body = method === 'POST' ? { body: { Image: 'busybox' } } : {};
    const { status, json } = await api.call(method, path, body);
    expect([status, json]).toEqual([400, { message }]);
  });

  it('goes with manifests where a version knows only one of them', async () => {
    expect((await api.call('GET', `/v1.48/images/busybox/json?manifests=1&platform=${ARM_TEXT}`)).status).toBe(200);
  });
});

describe('GET /system/df', () => {
  it('knows types from 1.42 on', async () => {
    expect((await api.call('GET', '/v1.41/system/df?type=nosuch')).json).toMatchObject({
      Images: [{}],
      BuildCache: [],
    });
    expect((await api.call('GET', '/v1.42/system/df?type=volume')).json).toMatchObject({
      LayersSize: 0,
      Images: null,
      Containers: null,
      BuildCache: null,
    });
    expect((await api.call('GET', '/v1.42/system/df?type=nosuch')).status).toBe(400);
  });
});

describe('GET /events', () => {
  it('tells of images that commits made from 1.46 on', async () => {
    const event = { type: 'image', actorId: 'sha256:1', attributes: {}, time: 1n as EngineEvent['time'] } as const;
    const seen = async (version: string): Promise<readonly string[]> => {
      const subscribe = vi.spyOn(api.engine.events, 'subscribe');
      await api.call('GET', `/v${version}/events?until=1`);
      const { matches } = subscribe.mock.lastCall?.[0] ?? {};
      return ['create', 'tag'].filter((action) => matches?.({ ...event, action }));
    };
    expect(await seen('1.45')).toEqual(['tag']);
    expect(await seen('1.46')).toEqual(['create', 'tag']);
  });
});
