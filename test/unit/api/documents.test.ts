import { describe, expect, it } from 'vitest';
import { createDocuments } from '../../../src/api/documents.ts';
import { SystemClock } from '../../../src/base/clock.ts';
import { InvalidArgumentError, NotFoundError } from '../../../src/base/errors.ts';
import { exampleSpec } from '../../support/container-spec.ts';
import { TestApi } from '../../support/api-server.ts';

const BUILD = { version: '0.1.0', gitCommit: '', buildTime: '' };

describe('documents for the other front', () => {
  it('are what the API answers in its newest version', async () => {
    await using api = await TestApi.start();
    const { engine } = api;
    const documents = createDocuments({ engine, clock: new SystemClock(), build: BUILD });
    const spec = { ...exampleSpec(), image: 'busybox' };
    const { id } = await engine.containers.create({ name: 'web', spec, frontDocument: null });
    await engine.volumes.create({ name: 'cache', driver: null, labels: {}, options: {} });
    const json = async (path: string): Promise<unknown> => (await api.call('GET', path)).json;
    expect(JSON.parse(await documents.inspectContainer(id))).toEqual(await json('/containers/web/json'));
    expect(JSON.parse(await documents.inspectImage('busybox'))).toEqual(await json('/images/busybox/json'));
    expect(JSON.parse(await documents.inspectNetwork('bridge'))).toEqual(await json('/networks/bridge'));
    expect(JSON.parse(await documents.inspectVolume('cache'))).toEqual(await json('/volumes/cache'));
    const { SystemTime: ourTime, ...ours } = await documents.info();
    const { SystemTime: theirTime, ...theirs } = (await json('/info')) as Record<string, unknown>;
    expect(ours).toEqual(theirs);
    expect([typeof ourTime, typeof theirTime]).toEqual(['string', 'string']);
  });

  it('are refused with the errors of the engine and of the body', async () => {
    await using api = await TestApi.start();
    const documents = createDocuments({ engine: api.engine, clock: new SystemClock(), build: BUILD });
    await expect(documents.inspectContainer('nobody')).rejects.toThrow(NotFoundError);
    await expect(documents.inspectImage('nothing')).rejects.toThrow(NotFoundError);
    await expect(documents.inspectNetwork('nowhere')).rejects.toThrow(NotFoundError);
    await expect(documents.inspectVolume('none')).rejects.toThrow(NotFoundError);
    const order = (body: string, platform = ''): unknown => documents.createOrder(body, platform);
    expect(() => order('')).toThrow('got EOF');
    expect(() => order('{')).toThrow(InvalidArgumentError);
    expect(() => order('{}')).toThrow('config cannot be empty');
    expect(() => order('{"Image":"x"}', 'no/such/thing/here')).toThrow('cannot parse platform specifier');
    expect(() => order('{"Image":"x","HostConfig":{"Links":["a:b:c"]}}')).toThrow(InvalidArgumentError);
  });
});
