import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestApi } from '../../support/api-server.ts';

let api: TestApi;
let id: string;
beforeAll(async () => {
  api = await TestApi.start();
  id = await api.create(['sleep'], {}, 'box');
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

const asked = (): unknown => api.engine.containers.commits.at(-1);

describe('POST /commit', () => {
  it('answers with the image', async () => {
    const { status, json } = await api.call('POST', '/commit?container=box');
    expect([status, json]).toEqual([201, { Id: `sha256:${'c'.repeat(64)}` }]);
    expect(asked()).toMatchObject({
      containerId: id,
      repository: null,
      tag: null,
      author: '',
      comment: '',
      pause: true,
      changes: [],
      config: null,
    });
  });

  it('hands on every word', async () => {
    const query = 'container=box&repo=a%2Fb&tag=1&author=me&comment=why&pause=0&changes=CMD%20x&changes=ENV%20A%3D1';
    await api.call('POST', `/commit?${query}`, { body: { Cmd: ['x'], Env: null, HostConfig: {} } });
    expect(asked()).toMatchObject({
      repository: 'a/b',
      tag: '1',
      author: 'me',
      comment: 'why',
      pause: false,
      changes: ['CMD x', 'ENV A=1'],
      config: { Cmd: ['x'], Entrypoint: null, User: '' },
    });
  });

  it('takes the words of YaST’s client', async () => {
    await api.call('POST', '/commit?container=box&repo=r&tag=t&m=why&author=me');
    expect(asked()).toMatchObject({ repository: 'r', tag: 't', comment: 'why', author: 'me' });
  });

  it.each(['null', '{}', '{"HostConfig":{}}'])('takes a body of %s for none', async (text) => {
    await api.call('POST', '/commit?container=box', { text });
    expect(asked()).toMatchObject({ config: null });
  });

  it.each([
    ['/commit', undefined, 404, 'No such container: '],
    ['/commit?container=no', undefined, 404, 'No such container: no'],
    ['/commit?container=box', '{"Cmd":1}', 400, 'json: cannot unmarshal number'],
    ['/commit?container=box', '{', 400, 'invalid JSON: unexpected EOF'],
  ])('%s with %s is %i', async (path, text, status, message) => {
    const answer = await api.call('POST', path, text === undefined ? {} : { text });
    expect(answer.status).toBe(status);
    expect(answer.json.message).toContain(message);
  });
});

describe('GET /containers/{id}/export', () => {
  it('streams a tar', async () => {
    const answer = await api.call('GET', '/containers/box/export');
    expect(answer.status).toBe(200);
    expect(answer.fields.get('content-type')).toBe('application/octet-stream');
    expect(answer.body).toBe(`tar of ${id}`);
  });

  it('says that there is no such container before a tar begins', async () => {
    const answer = await api.call('GET', '/containers/no/export');
    expect([answer.status, answer.json.message]).toEqual([404, 'No such container: no']);
  });

  it('cuts the connection where it breaks off', async () => {
    const { containers } = api.engine;
    const original = containers.export.bind(containers);
    containers.export = async function* () {
      yield Buffer.from('half');
      throw new Error('disk on fire');
    };
    const answer = api.call('GET', '/containers/box/export');
    await expect(answer).rejects.toThrow('the last chunk is missing');
    containers.export = original;
  });
});

describe('GET /containers/{id}/changes', () => {
  it('lists kinds by number', async () => {
    const { json } = await api.call('GET', '/containers/box/changes');
    expect(json).toEqual([
      { Path: '/etc', Kind: 0 },
      { Path: '/etc/new', Kind: 1 },
      { Path: '/etc/old', Kind: 2 },
    ]);
  });

  it('is null when there are none', async () => {
    await api.create(['sleep'], {}, 'unchanged');
    expect((await api.call('GET', '/containers/unchanged/changes')).body).toBe('null\n');
  });

  it('knows its containers', async () => {
    expect((await api.call('GET', '/containers/no/changes')).status).toBe(404);
  });
});
