import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BuildCacheEntry, BuildRequest } from '../../../src/engine/index.ts';
import { chunksOf, TestApi, type Answer } from '../../support/api-server.ts';
import { BUILT_ID, cacheEntry } from '../../support/fake-builds.ts';
import { until } from '../../support/engine.ts';

let api: TestApi;
beforeEach(async () => {
  api = await TestApi.start();
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const TAR = { 'Content-Type': 'application/x-tar' };

async function build(query: string, options: { text?: string; fields?: Record<string, string> } = {}): Promise<Answer> {
  return await api.call('POST', `/v1.47/build?${query}`, {
    text: options.text ?? 'tar',
    fields: { ...TAR, ...options.fields },
  });
}

async function requestOf(query: string, fields: Record<string, string> = {}): Promise<BuildRequest> {
  const answer = await build(query, { fields });
  expect(answer.body).toContain('Successfully built');
  return api.engine.build.requests.at(-1)!;
}

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('the stream of a build', () => {
  it('has one record a chunk, ended by CR LF', async () => {
    const peer = await api.open();
    peer.send('POST /build HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntar');
    const bytes = await peer.ended();
    const split = bytes.indexOf('\r\n\r\n');
    expect(bytes.toString('latin1', 0, split)).toContain('Content-Type: application/json');
    expect(chunksOf(bytes.subarray(split + 4)).map(String)).toEqual([
      '{"stream":"Step 1/2 : FROM busybox\\n"}\r\n',
      `{"aux":{"ID":"${BUILT_ID}"}}\r\n`,
      '{"stream":"Successfully built bbbbbbbbbbbb\\n"}\r\n',
    ]);
    expect(api.engine.build.contexts).toEqual([3]);
  });

  it('has no records of ids below 1.30', async () => {
    const { body } = await api.call('POST', '/v1.29/build', { text: 'tar', fields: TAR });
    expect(body).not.toContain('aux');
  });

  it('says the id alone when it is to be quiet', async () => {
    expect((await build('q=1')).body).toBe(`{"stream":"${BUILT_ID}\\n"}\r\n`);
  });

  it('tells a failure with its exit code, also of a quiet build', async () => {
    const told =
      '{"stream":"Step 1/2 : FROM busybox\\n"}\r\n' +
      `{"errorDetail":{"code":3,"message":"The command '/bin/sh -c exit 3' returned a non-zero code: 3"},` +
      `"error":"The command '/bin/sh -c exit 3' returned a non-zero code: 3"}\r\n`;
    for (const query of ['dockerfile=fails', 'dockerfile=fails&q=true']) {
      const { status, body } = await build(query);
      expect([status, body]).toEqual([200, told]);
    }
  });

  it('is an HTTP error before the first record', async () => {
    const { status, json } = await build('dockerfile=unknown');
    expect([status, json]).toEqual([400, { message: 'dockerfile parse error on line 1: unknown instruction: FRO' }]);
  });

  it('carries the progress of pulls', async () => {
    expect((await build('dockerfile=pulls')).body).toContain(
      '{"status":"Pulling from library/busybox","id":"latest"}\r\n',
    );
  });
});

describe('the end of a build', () => {
  it('comes with the end of its client', async () => {
    const peer = await api.open();
    peer.send('POST /build?dockerfile=hangs&buildid=a HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\ntar');
    await peer.until((text) => text.includes('Step 1/2'));
    expect(api.engine.build.names).toEqual(['a']);
    peer.socket.destroy();
    await until(() => api.engine.build.names.length === 0);
    expect(api.logged).toEqual([]);
  });

  it('comes with its cancellation by name', async () => {
    const answer = build('dockerfile=hangs&buildid=b');
    await until(() => api.engine.build.names.includes('b'));
    expect((await api.call('POST', '/build/cancel?id=b')).status).toBe(200);
    expect((await answer).body).toContain('"error":"Build cancelled"');
    // As with dockerd, one that has ended is cancelled too.
    expect((await api.call('POST', '/build/cancel?id=b')).status).toBe(200);
    const nameless = await api.call('POST', '/build/cancel');
    expect([nameless.status, nameless.json]).toEqual([400, { message: 'build ID not provided' }]);
  });
});

describe('the request of a build', () => {
  it('has dockerd’s defaults', async () => {
    const request = await requestOf('');
    expect(request).toMatchObject({
      context: { kind: 'tar' },
      dockerfile: 'Dockerfile',
      tags: [],
      target: '',
      args: new Map(),
      labels: new Map(),
      noCache: false,
      cacheFrom: [],
      pull: false,
      platform: null,
      remove: true,
      forceRemove: false,
      squash: false,
      secrets: new Map(),
      sshAgents: new Map(),
      buildId: '',
      limits: { network: null, shmSizeBytes: null, ulimits: [], extraHosts: [], securityOptions: [], cgroupParent: '' },
    });
    expect(request.limits.resources).toMatchObject({ memoryBytes: 0, cpuQuotaUs: 0, cpusetCpus: '' });
  });

  it('has what the docker CLI sends', async () => {
    const query = new URLSearchParams([
      ['t', 'a:1'],
      ['t', 'b'],
      ['dockerfile', '.dockerfile.0123'],
      ['target', 'web'],
      ['buildargs', '{"A":"1","B":null}'],
      ['labels', '{"l":"x"}'],
      ['cachefrom', '["old:1"]'],
      ['nocache', '1'],
      ['pull', '1'],
      ['platform', 'linux/arm64'],
      ['memory', '67108864'],
      ['memswap', '-1'],
      ['cpushares', '10'],
      ['cpuperiod', '100000'],
      ['cpuquota', '50000'],
      ['cpusetcpus', '0'],
      ['cpusetmems', '0'],
      ['cgroupparent', '/p'],
      ['shmsize', '1048576'],
      ['ulimits', '[{"Name":"nofile","Hard":20,"Soft":10}]'],
      ['networkmode', 'host'],
      ['extrahosts', 'a:1.2.3.4'],
      ['extrahosts', 'b:host-gateway'],
      ['securityopt', 'network.host'],
      ['securityopt', 'security.insecure'],
      ['rm', '0'],
      ['version', '1'],
    ]);
    const request = await requestOf(query.toString());
    expect(request).toMatchObject({
      dockerfile: '.dockerfile.0123',
      tags: ['a:1', 'b'],
      target: 'web',
      args: new Map([
        ['A', '1'],
        ['B', null],
      ]),
      labels: new Map([['l', 'x']]),
      cacheFrom: ['old:1'],
      noCache: true,
      pull: true,
      remove: false,
      platform: { os: 'linux', architecture: 'arm64' },
      limits: {
        network: { kind: 'host' },
        shmSizeBytes: 1_048_576,
        ulimits: [{ name: 'nofile', soft: 10, hard: 20 }],
        extraHosts: ['a:1.2.3.4', 'b:host-gateway'],
        securityOptions: ['network.host', 'security.insecure'],
        cgroupParent: '/p',
        resources: {
          memoryBytes: 67_108_864,
          memorySwapBytes: -1,
          cpuShares: 10,
          cpuPeriodUs: 100_000,
          cpuQuotaUs: 50_000,
          cpusetCpus: '0',
          cpusetMems: '0',
        },
      },
    });
  });

  it.each([
    ['cachefrom=null&ulimits=null&labels=null&buildargs=null&shmsize=0&outputs=null'],
    ['cachefrom=%5B%5D&ulimits=%5B%5D&labels=%7B%7D&buildargs=%7B%7D&outputs=%5B%7B%22Type%22%3A%22docker%22%7D%5D'],
    ['memory=none&cpushares=&isolation=Default&networkmode=default&pull=&t='],
  ])('takes what clients mean by nothing: %s', async (query) => {
    const request = await requestOf(query);
    expect(request).toMatchObject({ cacheFrom: [], args: new Map(), labels: new Map(), pull: false });
    expect(request.limits).toMatchObject({ network: null, ulimits: [], shmSizeBytes: null });
    expect(request.limits.resources.memoryBytes).toBe(0);
  });

  it('removes containers of what fails too when asked, and then those of what succeeds', async () => {
    expect(await requestOf('forcerm=1&rm=0')).toMatchObject({ remove: true, forceRemove: true });
    expect(await requestOf('rm=1')).toMatchObject({ remove: true, forceRemove: false });
  });

  it('takes its context from elsewhere', async () => {
    const answer = await api.call('POST', '/build?remote=https%3A%2F%2Fa.test%2Fb.git%23v1%3Adir');
    expect(answer.status).toBe(200);
    expect(api.engine.build.requests[0]?.context).toEqual({ kind: 'remote', address: 'https://a.test/b.git#v1:dir' });
  });

  it('shows each registry its own credentials', async () => {
    const config = {
      'https://index.docker.io/v1/': { username: 'hub', password: 'h' },
      'registry.test:5000': { username: 'own', password: 'o' },
    };
    const { authFor } = await requestOf('', { 'X-Registry-Config': base64(config) });
    expect(authFor('busybox')).toEqual({ username: 'hub', password: 'h' });
    expect(authFor('registry.test:5000/a/b:1')).toEqual({ username: 'own', password: 'o' });
    expect(authFor('other.test/a')).toBeNull();
  });

  it('brings secrets and agents', async () => {
    const { secrets, sshAgents } = await requestOf('', {
      'X-Moored-Build-Secrets': base64({ token: Buffer.from('s3cret\n').toString('base64'), empty: '', own: null }),
      'X-Moored-Build-SSH': base64({ default: '/run/agent.sock' }),
    });
    expect(secrets).toEqual(
      new Map([
        ['token', Buffer.from('s3cret\n')],
        ['empty', Buffer.alloc(0)],
        ['own', null],
      ]),
    );
    expect(sshAgents).toEqual(new Map([['default', '/run/agent.sock']]));
  });
});

describe('a request that cannot be', () => {
  it.each([
    ['labels=x', 400, "error reading labels: invalid character 'x' looking for beginning of value"],
    [
      'buildargs=%5B%22a%22%5D',
      400,
      'error reading build args: json: cannot unmarshal array into Go value of type map[string]*string',
    ],
    [
      'labels=%7B%22a%22%3A1%7D',
      400,
      'error reading labels: json: cannot unmarshal number into Go value of type string',
    ],
    ['cachefrom=%7B%7D', 400, 'error reading cache-from: json: cannot unmarshal object into Go value of type []string'],
    [
      'ulimits=1',
      400,
      'error reading ulimit settings: json: cannot unmarshal number into Go value of type []*container.Ulimit',
    ],
    ['shmsize=big', 400, 'strconv.Atoi: parsing "big": invalid syntax'],
    ['shmsize=-1', 400, 'SHM size can not be less than 0'],
    ['isolation=hyperv', 400, 'unsupported isolation: "hyperv"'],
    ['version=3', 400, 'invalid version "3"'],
    [
      'version=2',
      501,
      'builds by a BuildKit session are not supported by this version of moored: set DOCKER_BUILDKIT=0',
    ],
    [
      'remote=client-session',
      501,
      'builds by a BuildKit session are not supported by this version of moored: set DOCKER_BUILDKIT=0',
    ],
    [
      'outputs=%5B%7B%22Type%22%3A%22local%22%7D%5D',
      501,
      'outputs other than an image are not supported by this version of moored',
    ],
    ['securityopt=no-new-privileges', 400, 'security options are not supported on linux'],
    ['squash=1', 400, 'squash is only supported with experimental mode'],
    ['platform=a%2Fb%2Fc%2Fd', 400, '"a/b/c/d": cannot parse platform specifier: invalid argument'],
    ['networkmode=container:', 400, 'invalid network mode: invalid container format container:<name|id>'],
  ])('%s', async (query, status, message) => {
    const answer = await build(query);
    expect([answer.status, answer.json?.message]).toEqual([status, message]);
    expect(api.engine.build.requests).toEqual([]);
  });

  it.each([
    ['X-Moored-Build-Secrets', '!', 'X-Moored-Build-Secrets: not base64 of JSON'],
    ['X-Moored-Build-Secrets', base64(['a']), 'X-Moored-Build-Secrets: not an object of strings'],
    ['X-Moored-Build-Secrets', base64({ a: 1 }), 'X-Moored-Build-Secrets: not an object of strings'],
    ['X-Moored-Build-Secrets', base64({ a: 'ä' }), 'X-Moored-Build-Secrets: a is not base64'],
    ['X-Moored-Build-SSH', base64({ a: null }), "X-Moored-Build-SSH: a needs the absolute path of an agent's socket"],
    ['X-Moored-Build-Secrets', base64({ '': 'YQ==' }), 'X-Moored-Build-Secrets: an id is empty'],
    [
      'X-Moored-Build-SSH',
      base64({ a: 'run/s' }),
      "X-Moored-Build-SSH: a needs the absolute path of an agent's socket",
    ],
  ])('%s: %s', async (field, value, message) => {
    const answer = await build('', { fields: { [field]: value } });
    expect([answer.status, answer.json?.message]).toEqual([400, message]);
  });
});

describe('what builds keep', () => {
  const time = 1_700_000_000_000_000_000n as BuildCacheEntry['createdAt'];
  beforeEach(() => {
    api.engine.build.entries = [
      cacheEntry('aa', { parents: ['pp', 'qq'], lastUsedAt: time, uses: 2 }),
      cacheEntry('bb', { shared: true, sizeBytes: 7 }),
    ];
  });

  it('is shown in the words of each version', async () => {
    const row = {
      ID: 'aa',
      Type: 'regular',
      Description: 'RUN true',
      InUse: false,
      Shared: false,
      Size: 1000,
      CreatedAt: '2023-11-14T22:13:20Z',
      LastUsedAt: '2023-11-14T22:13:20Z',
      UsageCount: 2,
    };
    const now = (await api.call('GET', '/v1.47/system/df?type=build-cache')).json;
    expect(now.BuildCache[0]).toEqual({ ...row, Parents: ['pp', 'qq'] });
    expect(now.BuildCache[1]).toMatchObject({ ID: 'bb', LastUsedAt: null, Shared: true });
    expect(now).not.toHaveProperty('BuilderSize');
    const old = (await api.call('GET', '/v1.41/system/df')).json;
    expect(old.BuildCache[0]).toEqual({ ...row, Parent: 'pp' });
    expect(old.BuilderSize).toBe(1007);
    expect((await api.call('GET', '/v1.47/system/df?type=image')).json.BuildCache).toBeNull();
  });

  it('goes when it is pruned', async () => {
    expect((await api.call('POST', '/build/prune')).json).toEqual({ CachesDeleted: ['aa'], SpaceReclaimed: 1000 });
    expect((await api.call('POST', '/build/prune')).json).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
    expect((await api.call('POST', '/build/prune?all=1')).json.CachesDeleted).toEqual(['bb']);
    expect((await api.call('GET', '/system/df')).json.BuildCache).toEqual([]);
  });

  const nothing = { all: false, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, until: null };
  it.each([
    ['/v1.47/build/prune?keep-storage=5&reserved-space=6', { ...nothing, keepBytes: 5 }],
    ['/v1.48/build/prune?keep-storage=5&reserved-space=6', { ...nothing, keepBytes: 6 }],
    ['/v1.48/build/prune?keep-storage=5&reserved-space=0', { ...nothing, keepBytes: 5 }],
    ['/v1.47/build/prune?max-used-space=5&min-free-space=6', nothing],
    [
      '/v1.48/build/prune?max-used-space=5&min-free-space=6&all=1',
      { ...nothing, all: true, maxUsedBytes: 5, minFreeBytes: 6 },
    ],
    ['/build/prune?filters={"until":["24h"]}', { ...nothing, until: '24h' }],
    ['/build/prune?filters={"unused-for":{"24h":true}}', { ...nothing, until: '24h' }],
  ])('%s', async (path, expected) => {
    expect((await api.call('POST', encodeURI(path))).status).toBe(200);
    expect(api.engine.build.prunes).toEqual([{ ...expected, filters: new Map() }]);
  });

  it('is filtered by its own words, and has no labels', async () => {
    await api.call('POST', encodeURI('/build/prune?filters={"type":["exec.cachemount"],"inuse":{"true":true}}'));
    expect(api.engine.build.prunes[0]?.filters).toEqual(
      new Map([
        ['type', ['exec.cachemount']],
        ['inuse', ['true']],
      ]),
    );
    const labelled = await api.call('POST', encodeURI('/build/prune?filters={"label":["a"]}'));
    expect(labelled.json).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
  });

  it.each([
    [
      'reserved-space=x',
      'reserved-space is in bytes and expects an integer, got x: strconv.Atoi: parsing "x": invalid syntax',
    ],
    ['filters={"until":["1h"],"unused-for":["2h"]}', 'conflicting filters: "until" and "unused-for"'],
    ['filters={"until":["1h","2h"]}', 'filters expect only one value'],
    ['filters={"id":["a","b"]}', 'filters expect only one value'],
    ['filters={"mutable":["true"]}', "invalid filter 'mutable'"],
    ['filters={"until":["soon"]}', 'failed to parse value as time or duration: "soon"'],
  ])('refuses %s', async (query, message) => {
    const { status, json } = await api.call('POST', encodeURI(`/build/prune?${query}`));
    expect(status).toBe(400);
    expect(json.message).toContain(message);
  });
});
