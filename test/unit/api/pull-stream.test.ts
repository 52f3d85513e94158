import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type EngineError,
  ForbiddenError,
  NotFoundError,
  UnauthorizedError,
  UnavailableError,
} from '../../../src/base/errors.ts';
import { jsonLine } from '../../../src/api/stream/progress.ts';
import { ProgressStream } from '../../../src/api/stream/progress-stream.ts';
import type { Reply } from '../../../src/api/http/reply.ts';
import { TestApi } from '../../support/api-server.ts';

let api: TestApi;
const asked: string[] = [];
let fail: Error | null = null;
beforeAll(async () => {
  api = await TestApi.start();
  const pull = api.engine.images.pull.bind(api.engine.images);
  api.engine.images.pull = async (reference, options) => {
    asked.push(reference);
    if (fail !== null) throw fail;
    return await pull('busybox:latest', options);
  };
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

const DIGEST = `sha256:${'a'.repeat(64)}`;
const create = async (name: string, tag: string): Promise<{ readonly status: number; readonly json: unknown }> =>
  await api.call('POST', `/v1.41/images/create?fromImage=${encodeURIComponent(name)}&tag=${encodeURIComponent(tag)}`);

describe('the name of a pull', () => {
  it.each([
    ['busybox', '', 'busybox'],
    ['busybox:', '1', 'busybox:1'],
    ['busybox:1', '2', 'busybox:2'],
    ['localhost:5000/a/b', '1', 'localhost:5000/a/b:1'],
    ['localhost:5000/a/b:1', '2', 'localhost:5000/a/b:2'],
    ['localhost:5000/a/b', DIGEST, `localhost:5000/a/b@${DIGEST}`],
    ['busybox:1', DIGEST, `busybox@${DIGEST}`],
    [`busybox@${DIGEST}`, '2', `busybox:2@${DIGEST}`],
    [`busybox:1@${DIGEST}`, '', `busybox:1@${DIGEST}`],
  ])('%s with tag %j is %s', async (name, tag, reference) => {
    asked.length = 0;
    expect((await create(name, tag)).status).toBe(200);
    expect(asked).toEqual([reference]);
  });

  it.each(['-1', 'sha256:abc', 'a b', 'x'.repeat(129)])('refuses the tag %j as dockerd does', async (tag) => {
    asked.length = 0;
    expect(await create('busybox', tag)).toMatchObject({ status: 400, json: { message: 'invalid tag format' } });
    expect(asked).toEqual([]);
  });
});

describe('a pull that fails before its stream', () => {
  it.each<[EngineError, number]>([
    [new NotFoundError('manifest for x not found'), 404],
    [new ForbiddenError('registry x is blocked'), 403],
    [new UnauthorizedError('unauthorized: authentication required'), 500],
    [new UnavailableError('received unexpected HTTP status: 502 Bad Gateway'), 500],
  ])('%s has status %d', async (error, status) => {
    fail = error;
    expect(await create('busybox', '1')).toMatchObject({ status, json: { message: error.message } });
    fail = null;
  });
});

describe('a progress stream', () => {
  it('is escaped as Go does', () => {
    expect(jsonLine({ error: '<a> & \u2028"' })).toBe('{"error":"\\u003ca\\u003e \\u0026 \\u2028\\""}\r\n');
  });

  it('spares a client that is behind the numbers, never the words', async () => {
    const written: string[] = [];
    let drain: () => void = () => undefined;
    const reply = {
      stream: () => ({
        write: (bytes: Uint8Array) => {
          written.push((JSON.parse(Buffer.from(bytes).toString()) as { status: string }).status);
          return written.length === 1 ? new Promise<void>((resolve) => (drain = resolve)) : undefined;
        },
        end: () => undefined,
      }),
    } as unknown as Reply;
    await new ProgressStream(reply).run(async (progress) => {
      progress({ status: 'Downloading', id: 'a', current: 1, total: 9 });
      progress({ status: 'Extracting', id: 'a', current: 5, total: 9 });
      progress({ status: 'Pull complete', id: 'a' });
      drain();
      await Promise.resolve();
      progress({ status: 'Downloading', id: 'b', current: 1, total: 9 });
    });
    expect(written).toEqual(['Downloading', 'Pull complete', 'Downloading']);
  });
});
