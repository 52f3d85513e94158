import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { FakeDaemon, json, type Answer } from '../../support/fake-daemon.ts';

const ID = `sha256:${'a'.repeat(64)}`;
const MISSING = json(404, { message: 'No such image: nosuch:latest' });
let daemon: FakeDaemon;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
});

async function moor(...argv: readonly string[]): Promise<readonly [exitCode: number, stdout: string, stderr: string]> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const exitCode = await runProgram(argv, {
    stdio: { stdin, stdout, stderr },
    env: { MOORED_HOST: daemon.host },
    clock: new SystemClock(),
    version: '0.0.0-test',
  });
  return [exitCode, String(stdout.read() ?? ''), String(stderr.read() ?? '')];
}

describe('moor tag', () => {
  it('splits the new name', async () => {
    daemon.on('POST /images/r.io%3A5000/a/tag', json(201, {}));
    expect(await moor('tag', 'r.io:5000/a', 'r.io:5000/b:2')).toEqual([0, '', '']);
    expect(daemon.calls.map(({ query }) => [query.get('repo'), query.get('tag')])).toEqual([['r.io:5000/b', '2']]);
  });
});

describe('moor push', () => {
  const push = 'POST /images/r.io%3A5000/a/push';
  const stream = [
    { status: 'The push refers to repository [r.io:5000/a]' },
    { status: 'Pushing', progressDetail: { current: 1, total: 2 }, progress: '[==> ]', id: 'aaaaaaaaaaaa' },
    { status: 'Pushed', progressDetail: {}, id: 'aaaaaaaaaaaa' },
    { status: `2: digest: ${ID} size: 400` },
    { progressDetail: {}, aux: { Tag: '2', Digest: ID, Size: 400 } },
  ];
  const lines = (...records: readonly object[]): string => records.map((one) => `${JSON.stringify(one)}\r\n`).join('');

  const streamed =
    (body: string): Answer =>
    (_call, response) =>
      void response.writeHead(200).end(body);

  it('prints the steps, and nothing of what is for programs', async () => {
    daemon.on(push, streamed(lines(...stream)));
    expect(await moor('push', '--platform', 'linux/arm64', 'r.io:5000/a:2')).toEqual([
      0,
      `The push refers to repository [r.io:5000/a]\naaaaaaaaaaaa: Pushed\n2: digest: ${ID} size: 400\n`,
      '',
    ]);
    expect([...(daemon.calls[0]?.query ?? [])]).toEqual([
      ['tag', '2'],
      ['platform', '{"os":"linux","architecture":"arm64"}'],
    ]);
  });

  it('takes latest for a name without a tag, and all tags when told', async () => {
    daemon.on(push, streamed(lines(...stream)));
    const [code, out] = await moor('push', 'r.io:5000/a');
    expect([code, out.split('\n')[0]]).toEqual([0, 'Using default tag: latest']);
    expect(await moor('push', '-q', 'r.io:5000/a')).toEqual([0, 'r.io:5000/a:latest\n', '']);
    expect(await moor('push', '-q', '--all-tags', 'r.io:5000/a')).toEqual([0, 'r.io:5000/a\n', '']);
    expect(daemon.calls.map(({ query }) => query.get('tag'))).toEqual(['latest', 'latest', null]);
  });

  it.each([
    [['-a', 'r.io:5000/a:2'], "tag can't be used with --all-tags/-a\n"],
    [[`r.io:5000/a@${ID}`], 'cannot push a digest reference\n'],
  ])('refuses %j', async (words, told) => {
    expect(await moor('push', ...words)).toEqual([1, '', told]);
    expect(daemon.calls).toEqual([]);
  });

  it('fails by what comes within the stream', async () => {
    daemon.on(push, streamed(lines({ errorDetail: { message: 'denied' }, error: 'denied' })));
    expect(await moor('push', 'r.io:5000/a:2')).toEqual([1, '', 'denied\n']);
  });
});

describe('moor rmi', () => {
  it('tells what was done, tells what was not there, and fails', async () => {
    daemon
      .on('DELETE /images/a', json(200, [{ Untagged: 'a:latest' }, { Deleted: ID }]))
      .on('DELETE /images/nosuch', MISSING);
    expect(await moor('rmi', 'nosuch', 'a')).toEqual([
      1,
      `Untagged: a:latest\nDeleted: ${ID}\n`,
      'Error response from daemon: No such image: nosuch:latest\n',
    ]);
    expect(daemon.calls.map(({ query }) => [query.get('force'), query.get('noprune')])).toEqual([
      ['false', 'false'],
      ['false', 'false'],
    ]);
  });

  it('does not fail for what is not there when forced', async () => {
    daemon.on('DELETE /images/nosuch', MISSING);
    expect((await moor('rmi', '-f', '--no-prune', 'nosuch'))[0]).toBe(0);
    expect(daemon.calls.map(({ query }) => [query.get('force'), query.get('noprune')])).toEqual([['true', 'true']]);
  });
});

describe('moor history', () => {
  const steps = [
    { Id: ID, Created: 0, CreatedBy: `RUN ${'x'.repeat(60)}`, Size: 1500, Comment: 'c' },
    { Id: '<missing>', Created: 0, CreatedBy: 'ADD\tfile', Size: 0, Comment: '' },
  ];

  it('shows steps in columns, long ones cut', async () => {
    daemon.on('GET /images/a/history', json(200, steps));
    const [code, stdout] = await moor('history', 'a');
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.replace(/ {3,}\d+ years ago +/, ' | '))).toEqual([
      expect.stringMatching(/^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$/),
      `aaaaaaaaaaaa | RUN ${'x'.repeat(40)}…   1.5kB   c`,
      `<missing> | ADD file${' '.repeat(37)}   0B      `,
      '',
    ]);
  });

  it('shows ids alone', async () => {
    daemon.on('GET /images/a/history', json(200, steps));
    expect(await moor('history', '-q', 'a')).toEqual([0, 'aaaaaaaaaaaa\n<missing>\n', '']);
  });
});
