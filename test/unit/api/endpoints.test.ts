import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InternalError } from '../../../src/base/errors.ts';
import { chunksOf, TestApi } from '../../support/api-server.ts';
import { BUSYBOX_ID } from '../../support/fake-engine.ts';

let api: TestApi;
beforeAll(async () => {
  api = await TestApi.start();
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

describe('every answer', () => {
  it('carries version, platform and server', async () => {
    for (const path of ['/_ping', '/nosuch', '/v1.51/containers/nosuch/json']) {
      const { fields } = await api.call('GET', path);
      expect(Object.fromEntries(fields)).toMatchObject({
        'api-version': '1.51',
        'docker-experimental': 'false',
        ostype: 'linux',
        server: 'Docker/0.1.0 (linux)',
      });
    }
  });

  it('pings without newline, and with no length for HEAD', async () => {
    const get = await api.call('GET', '/v1.40/_ping');
    expect(get.body).toBe('OK');
    expect(get.fields.get('builder-version')).toBe('1');
    const head = await api.call('HEAD', '/_ping');
    expect([head.status, head.fields.get('content-length'), head.body]).toEqual([200, '0', '']);
  });
});

describe('versions', () => {
  it.each([
    ['/v1.99/info', 400, 'client version 1.99 is too new. Maximum supported API version is 1.51'],
    ['/v1.52/info', 400, 'client version 1.52 is too new. Maximum supported API version is 1.51'],
    ['/v1.24/info', 200, undefined],
    ['/v1.51/info', 200, undefined],
  ])('%s', async (path, status, message) => {
    const answer = await api.call('GET', path);
    expect([answer.status, answer.json.message]).toEqual([status, message]);
  });

  it('tells clients of the plain-text days in plain text', async () => {
    const answer = await api.call('GET', '/v1.10/info');
    expect(answer.status).toBe(400);
    expect(answer.fields.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(answer.body).toBe(
      'client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n',
    );
  });
});

describe('errors', () => {
  it.each([
    ['GET', '/nosuch', 404, 'page not found'],
    ['PUT', '/containers/json', 404, 'page not found'],
    ['GET', '/containers/nosuch/json', 404, 'No such container: nosuch'],
    ...['start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'wait', 'attach'].map(
      (verb) => ['POST', `/containers/nosuch/${verb}`, 404, 'No such container: nosuch'] as const,
    ),
    ['POST', '/containers/nosuch/rename?name=a', 404, 'No such container: nosuch'],
    ['POST', '/containers/nosuch/resize?h=1&w=1', 404, 'No such container: nosuch'],
    ['POST', '/containers/nosuch/resize?h=a&w=1', 400, 'strconv.Atoi: parsing "a": invalid syntax'],
    ['POST', '/containers/nosuch/stop?t=abc', 400, 'strconv.Atoi: parsing "abc": invalid syntax'],
    ['DELETE', '/containers/nosuch', 404, 'No such container: nosuch'],
    ['GET', '/containers/nosuch/logs?stdout=1', 404, 'No such container: nosuch'],
    ['GET', '/containers/nosuch/logs', 400, 'Bad parameters: you must choose at least one stream'],
    ['GET', '/containers/json?filters=x', 400, 'invalid filter'],
    ['GET', '/containers/json?filters={"foo":["a"]}', 400, "invalid filter 'foo'"],
    ['GET', '/containers/json?filters={"status":["foo"]}', 400, "invalid filter 'status=foo'"],
    ['GET', '/containers/json?filters={"exited":["foo"]}', 400, 'strconv.Atoi: parsing "foo": invalid syntax'],
    ['GET', '/containers/json?filters={"before":["zz"]}', 404, 'No such container: zz'],
    ['GET', '/containers/json?filters={"is-task":["zz"]}', 400, "invalid filter 'is-task=[zz]'"],
    ['GET', '/containers/json?limit=x', 400, 'strconv.Atoi: parsing "x": invalid syntax'],
    ['GET', '/exec/nosuch/json', 404, 'No such exec instance: nosuch'],
    ['POST', '/exec/nosuch/resize?h=1&w=1', 404, 'No such exec instance: nosuch'],
    ['GET', '/images/nosuch/json', 404, 'No such image: nosuch:latest'],
    ['GET', '/images/a/b/nosuch/history', 404, 'No such image: a/b/nosuch:latest'],
    ['POST', '/images/nosuch/tag?repo=x', 404, 'No such image: nosuch:latest'],
    ['POST', '/images/busybox/tag', 400, 'invalid reference format'],
    ['DELETE', '/images/busybox', 409, 'conflict: unable to remove repository reference'],
    ['GET', '/images/json?filters={"dangling":["a"]}', 400, "invalid filter 'dangling=[a]'"],
    ['POST', '/images/create?fromImage=missing', 404, 'pull access denied for missing, repository does not exist'],
    ['GET', '/networks/nosuch', 404, 'network nosuch not found'],
    ['DELETE', '/networks/none', 403, 'none is a pre-defined network and cannot be removed'],
    ['GET', '/volumes/nosuch', 404, 'get nosuch: no such volume'],
    ['DELETE', '/volumes/nosuch', 404, 'get nosuch: no such volume'],
    ['GET', '/events?since=x', 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['GET', '/events?since=2&until=1', 400, '`since` time (2) cannot be after `until` time (1)'],
    ['GET', '/events?filters={"foo":["x"]}', 400, "invalid filter 'foo'"],
    ['GET', '/system/df?type=foo', 400, 'unknown object type: foo'],
    ['POST', '/session', 400, 'no upgrade proto in request'],
    ['POST', '/swarm/leave', 503, 'This node is not part of a swarm'],
    ['GET', '/plugins/privileges', 501, 'managing plugins is not supported by this version of moored'],
  ] as const)('%s %s → %d', async (method, path, status, message) => {
    const answer = await api.call(method, encodeURI(path));
    expect([answer.status, answer.json]).toEqual([status, { message }]);
    expect(answer.fields.get('content-type')).toBe('application/json');
  });

  it('answers swarm’s endpoints as a node without swarm', async () => {
    for (const path of ['/swarm', '/nodes', '/services', '/tasks', '/configs']) {
      const { status, json } = await api.call('GET', path);
      expect([status, json.message]).toEqual([503, expect.stringContaining('This node is not a swarm manager.')]);
    }
  });

  it.each([
    ['/containers/create', '', 400, 'invalid JSON: got EOF while reading request body'],
    ['/containers/create', '{}', 400, 'config cannot be empty in order to create a container'],
    ['/containers/create', 'null', 400, 'config cannot be empty in order to create a container'],
    ['/containers/create', '{"Image":"nosuch"}', 404, 'No such image: nosuch:latest'],
    [
      '/containers/create',
      '{"Image":"busybox","Tty":1}',
      400,
      expect.stringContaining('ContainerConfigWrapper.Tty of type bool'),
    ],
    ['/containers/nosuch/exec', '{"Cmd":["x"]}', 404, 'No such container: nosuch'],
    ['/containers/nosuch/exec', '{}', 400, 'No exec command specified'],
    ['/exec/nosuch/start', '{}', 404, 'No such exec instance: nosuch'],
    ['/exec/nosuch/start', '', 404, 'No such exec instance: nosuch'],
    ['/volumes/create', '{"Name":5}', 400, expect.stringContaining('of type string')],
    ['/auth', '{"username":"a","password":"wrong"}', 401, 'Get "https://x/v2/": unauthorized'],
    ['/auth', '', 400, 'invalid JSON: got EOF while reading request body'],
  ])('POST %s %j → %d', async (path, text, status, message) => {
    const answer = await api.call('POST', path, { text });
    expect([answer.status, answer.json]).toEqual([status, { message }]);
  });

  it('checks the type of bodies, and only of bodies', async () => {
    const wrong = await api.call('POST', '/volumes/create', { text: '{}', fields: { 'Content-Type': 'text/plain' } });
    expect([wrong.status, wrong.json.message]).toEqual([
      400,
      "unsupported Content-Type header (text/plain): must be 'application/json'",
    ]);
    const right = { text: '{}', fields: { 'Content-Type': 'application/json; charset=utf-8' } };
    expect((await api.call('POST', '/volumes/create', right)).status).toBe(201);
    expect((await api.call('POST', '/volumes/create')).status).toBe(201);
  });

  it('says 409 for a name in use, 409 for what is not running, 304 for what is so already', async () => {
    const id = await api.create(['sleep'], {}, 'one');
    const again = await api.call('POST', '/containers/create?name=one', { body: { Image: 'busybox' } });
    expect([again.status, again.json.message]).toEqual([
      409,
      expect.stringContaining(`already in use by container "${id}"`),
    ]);
    for (const verb of ['kill', 'pause']) expect((await api.call('POST', `/containers/one/${verb}`)).status).toBe(409);
    expect((await api.call('POST', '/containers/one/exec', { body: { Cmd: ['x'] } })).status).toBe(409);
    const stop = await api.call('POST', '/containers/one/stop');
    expect([stop.status, stop.body, stop.fields.has('content-length')]).toEqual([304, '', false]);
    const old = await api.call('POST', '/containers/one/start', { body: { Binds: ['/a:/b'] } });
    expect([old.status, old.json.message]).toEqual([
      400,
      expect.stringContaining('non-empty request body was deprecated'),
    ]);
    expect((await api.call('POST', '/containers/one/start', { text: '{}' })).status).toBe(204);
    expect((await api.call('POST', '/containers/one/start')).status).toBe(304);
    expect((await api.call('DELETE', '/containers/one')).status).toBe(409);
    expect((await api.call('DELETE', '/containers/one?force=1')).status).toBe(204);
  });

  it('writes clean-up failures and faults of ours down, and nothing of the clients’', async () => {
    const before = api.logged.length;
    await api.call('GET', '/containers/nosuch/json');
    expect(api.logged).toHaveLength(before);
    const { pause } = api.engine.containers;
    api.engine.containers.pause = async () => {
      const error = new InternalError('freezer stuck');
      error.cleanupFailures.push(new Error('thaw failed'));
      throw error;
    };
    const answer = await api.call('POST', '/containers/x/pause');
    api.engine.containers.pause = pause;
    expect([answer.status, answer.json]).toEqual([500, { message: 'freezer stuck' }]);
    expect(api.logged.slice(before)).toMatchObject([
      { fields: { failures: ['thaw failed'] } },
      { message: expect.stringContaining('freezer stuck') },
    ]);
  });
});

describe('streams', () => {
  it('tells an error after the first record in the stream', async () => {
    const answer = await api.call('POST', '/images/create?fromImage=broken&tag=latest');
    expect(answer.status).toBe(200);
    const lines = answer.body
      .trimEnd()
      .split('\r\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines[0]).toEqual({ status: 'Pulling from library/busybox', id: 'latest' });
    expect(lines.at(-1)).toEqual({
      errorDetail: { message: 'filesystem layer verification failed' },
      error: 'filesystem layer verification failed',
    });
  });

  it('sends each record as a chunk of its own', async () => {
    const peer = await api.open();
    peer.send('POST /images/create?fromImage=busybox HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n');
    const bytes = await peer.ended();
    const chunks = chunksOf(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4));
    expect(chunks).toHaveLength(4);
    for (const chunk of chunks) expect(() => JSON.parse(chunk.toString()) as unknown).not.toThrow();
  });

  it('gives archives out, and cuts the connection when one breaks off', async () => {
    for (const path of ['/images/busybox/get', '/v1.41/images/get?names=busybox&platform=nonsense']) {
      const saved = await api.call('GET', path);
      expect(saved).toMatchObject({ status: 200, body: `[${BUSYBOX_ID}]` });
      expect(saved.fields.get('content-type')).toBe('application/x-tar');
    }
    const twice = await api.call('GET', '/images/get?names=busybox&names=busybox:latest');
    expect(twice.body).toBe(`[${BUSYBOX_ID}][${BUSYBOX_ID}]`);
    const peer = await api.open();
    // The fake's blob breaks off after the image.
    peer.send('GET /images/busybox:latest/get HTTP/1.1\r\nHost: d\r\n\r\n');
    const text = (await peer.ended()).toString();
    expect(text).toContain(`[${BUSYBOX_ID}]`);
    expect(text.endsWith('0\r\n\r\n')).toBe(false);
  });

  it.each([
    ['/images/get', 400, 'no image was named'],
    ['/images/get?names=missing', 404, 'No such image: missing:latest'],
    ['/images/busybox/get?platform=linux', 400, 'failed to parse platform'],
    ['/images/busybox/get?platform={}', 400, 'both OS and Architecture must be provided'],
    ['/images/busybox/get?platform={"variant":"v8"}', 400, 'OS and Architecture are missing'],
    ['/images/busybox/get?platform={"os":1}', 400, 'failed to parse platform'],
    ['/images/busybox/get?platform=[]', 400, 'failed to parse platform'],
    ['/images/busybox/get?platform=&platform=', 400, 'multiple platform parameters not supported'],
  ])('refuses GET %s', async (path, status, message) => {
    const refused = await api.call('GET', encodeURI(path));
    expect(refused.status).toBe(status);
    expect(refused.json.message).toContain(message);
  });

  it('takes archives in and follows events with filters', async () => {
    const loaded = await api.call('POST', '/images/load', {
      text: 'x'.repeat(300_000),
      fields: { 'Content-Type': 'application/x-tar' },
    });
    expect(loaded.json).toEqual({ stream: 'Loaded image: busybox:300000\n' });
    const imported = await api.call('POST', '/images/create?fromSrc=-', { text: 'tar' });
    expect(imported.json.status).toMatch(/^sha256:/);
    const peer = await api.open();
    peer.send(
      `GET /events?filters=${encodeURIComponent('{"event":["die"],"label":{"a=b":true}}')} HTTP/1.1\r\nHost: d\r\n\r\n`,
    );
    await peer.until((text) => text.includes('200 OK'));
    for (const labels of [{}, { a: 'b' }]) {
      await api.call('POST', `/containers/${await api.create(['exit', '9'], { Labels: labels })}/start`);
    }
    const text = await peer.until((received) => received.includes('timeNano'));
    expect(text.match(/"Action":"(\w+)"/g)).toEqual(['"Action":"die"']);
    expect(text).toContain('"exitCode":"9"');
    peer.socket.destroy();
  });
});

describe('round trips', () => {
  it('creates again from what inspect said', async () => {
    const body = {
      Env: ['A=b'],
      Labels: { l: '<&>' },
      HostConfig: {
        Binds: ['/x:/y:ro'],
        Memory: 67108864,
        MemorySwap: 134217728,
        PidsLimit: 5,
        CapAdd: [],
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 },
      },
    };
    const first = await api.call('GET', `/containers/${await api.create(['true'], body)}/json`);
    expect(first.body).toContain('<&>');
    expect(first.json.HostConfig).toMatchObject({
      Binds: ['/x:/y:ro'],
      CapAdd: [],
      CapDrop: null,
      PidsLimit: 5,
      MemorySwap: 134217728,
    });
    const again = {
      ...first.json.Config,
      HostConfig: first.json.HostConfig,
      NetworkingConfig: { EndpointsConfig: first.json.NetworkSettings.Networks },
    };
    const created = await api.call('POST', '/containers/create', { body: again });
    expect([created.status, created.json.Warnings]).toEqual([201, []]);
    const second = await api.call('GET', `/containers/${String(created.json.Id)}/json`);
    expect(second.json.HostConfig).toEqual(first.json.HostConfig);
    expect(second.json.Config).toEqual(first.json.Config);
  });

  it('lists with filters in both forms', async () => {
    const id = await api.create(['sleep'], { Labels: { pick: 'me' }, ExposedPorts: { '81/udp': {} } }, 'picked');
    const names = async (filters: object, more = '&all=1'): Promise<string[]> => {
      const { json } = await api.call(
        'GET',
        `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}${more}`,
      );
      return json.map((row: { Names: string[] }) => row.Names[0]);
    };
    for (const filters of [
      { label: ['pick=me'] },
      { label: { 'pick=me': true } },
      { name: ['^/pick'], label: ['pick'] },
      { id: [id.slice(0, 8)] },
      { expose: ['81/udp'] },
      { network: ['bridge'], name: ['picked'] },
      { status: ['created'], name: ['picked'] },
      { ancestor: ['busybox'], name: ['picked'] },
    ]) {
      expect(await names(filters)).toEqual(['/picked']);
    }
    expect(await names({ label: ['pick=you'] })).toEqual([]);
    expect(await names({ name: ['picked'] }, '')).toEqual([]);
    await api.call('POST', '/containers/picked/start');
    expect(await names({ name: ['picked'] }, '')).toEqual(['/picked']);
    expect((await api.call('GET', '/containers/json?limit=1')).json).toHaveLength(1);
    await api.call('DELETE', '/containers/picked?force=1');
  });

  it('prunes what is stopped', async () => {
    await api.create(['true'], { Labels: { prune: 'yes' } });
    const filters = encodeURIComponent('{"label":["prune=yes"]}');
    const { json } = await api.call('POST', `/containers/prune?filters=${filters}`);
    expect([json.ContainersDeleted.length, json.SpaceReclaimed]).toEqual([1, 10]);
    expect((await api.call('POST', `/containers/prune?filters=${filters}`)).json).toEqual({
      ContainersDeleted: null,
      SpaceReclaimed: 0,
    });
    await api.call('POST', '/volumes/create', { body: { Name: 'named' } });
    expect(
      (await api.call('POST', '/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D')).json.VolumesDeleted,
    ).toContain('named');
    expect((await api.call('POST', '/networks/prune')).json).toEqual({ NetworksDeleted: null });
    expect((await api.call('POST', '/images/prune')).json).toEqual({ ImagesDeleted: null, SpaceReclaimed: 0 });
  });
});
