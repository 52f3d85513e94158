import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

describe('detach keys', () => {
  // ctrl-p ctrl-q: to a terminal a wish to leave, in a pipe two bytes like any others.
  const data = Buffer.concat([Buffer.from('before '), Buffer.from([16, 17]), Buffer.from(' after\n')]);

  it('mean nothing in the stdin of a container without a terminal', async () => {
    const result = await engine.docker(['run', '--rm', '-i', 'busybox', 'cat'], { stdin: data });
    expect(result).toEqual({ code: 0, stdout: data.toString(), stderr: '' });
  });

  it('mean nothing in the stdin of an exec without a terminal', async () => {
    await engine.dockerOk('run', '-d', '--name', 'ex', 'busybox', 'sleep', '300');
    const result = await engine.docker(['exec', '-i', 'ex', 'cat'], { stdin: data });
    expect(result).toEqual({ code: 0, stdout: data.toString(), stderr: '' });
  });
});

describe('restart', () => {
  it('keeps a container that is to be removed when it ends', async () => {
    const id = await engine.dockerOk('run', '-d', '--rm', '--name', 'kept', 'busybox', 'sleep', '300');
    await engine.dockerOk('restart', '-t', '0', 'kept');
    expect(await engine.dockerOk('inspect', '-f', '{{.Id}} {{.State.Running}}', 'kept')).toBe(`${id} true`);
    await engine.dockerOk('stop', '-t', '0', 'kept');
    await until(async () => (await engine.docker(['inspect', 'kept'])).code !== 0);
  });
});

describe('remove', () => {
  it('with force takes a container away whose start is under way', async () => {
    await engine.dockerOk('create', '--name', 'racing', 'busybox', 'sleep', '300');
    const [start, removal] = await Promise.all([
      engine.api('POST', '/containers/racing/start'),
      engine.api('DELETE', '/containers/racing?force=1'),
    ]);
    expect([204, 404, 409]).toContain(start.status);
    expect(removal.status).toBe(204);
    expect((await engine.api('GET', '/containers/racing/json')).status).toBe(404);
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
  });

  it('ends an attach that waits for a start', async () => {
    await engine.dockerOk('create', '--name', 'idle', 'busybox', 'true');
    const attached = engine.api('POST', '/containers/idle/attach?stream=1&stdout=1');
    // The attach is there once its event is told.
    await until(async () => {
      const which = `until=${String(Date.now() / 1000)}&filters={"event":["attach"],"container":["idle"]}`;
      return (await engine.api('GET', `/events?since=1&${which}`)).body.includes('attach');
    });
    await engine.dockerOk('rm', 'idle');
    expect((await attached).status).toBe(200);
  });
});
