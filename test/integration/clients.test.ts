import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { framesOf } from '../support/api-server.ts';
import { TestEngine } from '../support/engine.ts';

/** What client libraries rely on beyond Docker's own command line. */
let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

describe('client libraries', () => {
  it.each([
    ['one a line', 'docker-sdk-python/7.1.0', ['hello\n', 'world\n']],
    ['one for many lines', 'Docker-Client/28.2.2 (linux)', ['hello\nworld\n']],
  ])('get frames of a log: %s for %s', async (_, userAgent, expected) => {
    const script = ['sh', '-c', 'echo hello; echo world'];
    const id = await engine.dockerOk('create', '--network', 'none', 'busybox', ...script);
    await engine.dockerOk('start', '-a', id);
    for (const follow of ['0', '1']) {
      const path = `/containers/${id}/logs?stdout=1&stderr=1&follow=${follow}`;
      const { status, body } = await engine.api('GET', path, undefined, { 'user-agent': userAgent });
      expect(status).toBe(200);
      expect(framesOf(Buffer.from(body))).toEqual(expected.map((text) => ({ stream: 1, text })));
    }
    await engine.dockerOk('rm', id);
  });
});
