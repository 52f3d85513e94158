import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { FakeDaemon, frame, json } from '../../support/fake-daemon.ts';

const ID = 'c0ffee'.padEnd(64, '0');
let daemon: FakeDaemon;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
});

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function moor(argv: readonly string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const stdin = new PassThrough();
  stdin.end(input);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const written = { stdout: '', stderr: '' };
  stdout.on('data', (chunk: Buffer) => (written.stdout += chunk.toString()));
  stderr.on('data', (chunk: Buffer) => (written.stderr += chunk.toString()));
  const exitCode = await runProgram(argv, {
    stdio: { stdin, stdout, stderr },
    env: { MOORED_HOST: daemon.host, ...env },
    clock: new SystemClock(),
    version: '0.0.0-test',
  });
  stdout.end();
  stderr.end();
  return { exitCode, ...written };
}

/** A container that answers what it reads on stdin, writes a line to each output, and exits with `status`. */
function scriptRun(status: number): void {
  daemon
    .on('POST /containers/create', json(201, { Id: ID, Warnings: ['no swap'] }))
    .onUpgrade(`POST /containers/${ID}/attach`, ({ query }, socket) => {
      socket.write(frame(1, 'out\n').subarray(0, 5));
      socket.write(Buffer.concat([frame(1, 'out\n').subarray(5), frame(2, 'err\n')]));
      if (query.get('stdin') !== 'true') {
        socket.end();
        return;
      }
      socket.on('data', (chunk) => socket.write(frame(1, `read ${String(chunk)}`)));
      socket.on('end', () => socket.end(frame(1, '(end of input)')));
    })
    .on(`POST /containers/${ID}/wait`, json(200, { StatusCode: status }))
    .on(`POST /containers/${ID}/start`, (_call, response) => response.writeHead(204).end());
}

describe('run', () => {
  test('attaches, waits, starts in this order, splits the streams and ends with the exit code', async () => {
    scriptRun(7);
    expect(await moor(['run', '--rm', 'busybox', 'sh', '-c', 'exit 7'])).toEqual({
      exitCode: 7,
      stdout: 'out\n',
      stderr: 'WARNING: no swap\nerr\n',
    });
    expect(daemon.routes).toEqual([
      'POST /containers/create',
      `POST /containers/${ID}/attach`,
      `POST /containers/${ID}/wait`,
      `POST /containers/${ID}/start`,
    ]);
    expect(daemon.calls[2]?.query.get('condition')).toBe('removed');
    expect(JSON.parse(daemon.calls[0]?.body ?? '')).toMatchObject({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'exit 7'],
      HostConfig: { AutoRemove: true },
    });
  });

  test('sends stdin, ends only its own half and reads what comes after', async () => {
    scriptRun(0);
    const { exitCode, stdout } = await moor(['run', '-i', 'busybox', 'cat'], 'hello');
    expect(stdout).toBe('out\nread hello(end of input)');
    expect(exitCode).toBe(0);
  });

  test('prints the id of a detached container', async () => {
    scriptRun(0);
    expect(await moor(['run', '-d', 'busybox'])).toMatchObject({ exitCode: 0, stdout: `${ID}\n` });
    expect(daemon.routes).not.toContain(`POST /containers/${ID}/attach`);
  });

  test.each([
    ['exec: "nope": executable file not found in $PATH: unknown', 127],
    ['exec: "/etc": permission denied: unknown', 126],
    ['driver failed programming external connectivity', 125],
  ])('ends as docker does when the start fails: %s', async (message, exitCode) => {
    scriptRun(0);
    daemon.on(`POST /containers/${ID}/start`, json(400, { message }));
    const outcome = await moor(['run', 'busybox', 'nope']);
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stderr).toContain(`moor: Error response from daemon: ${message}\n`);
  });

  test('pulls an image that is not there, then runs it', async () => {
    scriptRun(0);
    let asked = 0;
    daemon.on('POST /containers/create', (call, response) => {
      asked += 1;
      const answer = asked === 1 ? json(404, { message: 'No such image: alpine:latest' }) : json(201, { Id: ID });
      answer(call, response);
    });
    daemon.on('POST /images/create', { status: 'Pulling from library/alpine', id: 'latest' });
    const { exitCode, stdout, stderr } = await moor(['run', 'alpine']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'out\n' });
    expect(stderr).toContain("Unable to find image 'alpine:latest' locally\nlatest: Pulling from library/alpine\n");
  });
});

test('exec ends with the exit code of its command', async () => {
  daemon
    .on('POST /containers/web/exec', json(201, { Id: 'e1' }))
    .onUpgrade('POST /exec/e1/start', (_call, socket) => socket.end(frame(1, 'done\n')))
    .on('GET /exec/e1/json', { ExitCode: 3 });
  expect(await moor(['exec', '-w', '/tmp', 'web', 'false'])).toEqual({ exitCode: 3, stdout: 'done\n', stderr: '' });
  expect(JSON.parse(daemon.calls[0]?.body ?? '')).toMatchObject({ Cmd: ['false'], WorkingDir: '/tmp' });
});

test('ps lists containers in columns', async () => {
  const created = Math.floor(Date.now() / 1000) - 7200;
  const Ports = [{ IP: '0.0.0.0', PublicPort: 8080, PrivatePort: 80, Type: 'tcp' }];
  const row = {
    Id: ID,
    Image: 'busybox',
    Command: 'httpd -f -h /var/www/html',
    Created: created,
    Status: 'Up 2 hours',
  };
  daemon.on('GET /containers/json', [{ ...row, Ports, Names: ['/web'] }]);
  expect((await moor(['ps', '-a'])).stdout).toBe(
    'CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS       PORTS                  NAMES\n' +
      'c0ffee000000   busybox   "httpd -f -h /var/ww…"   2 hours ago   Up 2 hours   0.0.0.0:8080->80/tcp   web\n',
  );
  expect(daemon.calls[0]?.query.get('all')).toBe('true');
});

describe('save and load', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moored-moor-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const archive = join(folder, 'images.tar');

  test('save writes to stdout, or a whole file', async () => {
    daemon.on('GET /images/get', (_call, response) => response.writeHead(200).end('a tar'));
    expect(await moor(['save', 'a:1', 'b'])).toEqual({ exitCode: 0, stdout: 'a tar', stderr: '' });
    expect(daemon.calls[0]?.query.getAll('names')).toEqual(['a:1', 'b']);
    expect(await moor(['save', '--platform', 'linux/arm64', '-o', archive, 'a:1'])).toMatchObject({ exitCode: 0 });
    expect(readFileSync(archive, 'utf8')).toBe('a tar');
    expect(JSON.parse(daemon.calls[1]?.query.get('platform') ?? '')).toEqual({ os: 'linux', architecture: 'arm64' });
  });

  test('half an archive leaves no file', async () => {
    daemon.on('GET /images/get', (_call, response) => {
      response.writeHead(200).write('half');
      response.write(' a tar', () => response.destroy());
    });
    const { exitCode, stderr } = await moor(['save', '-o', join(folder, 'half.tar'), 'a']);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('cannot write') });
    expect(await moor(['save', '-o', join(folder, 'nowhere', 'a.tar'), 'a'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no such file or directory'),
    });
    expect(readdirSync(folder)).toEqual(['images.tar']);
  });

  test('save tells what is missing', async () => {
    daemon.on('GET /images/get', json(404, { message: 'reference does not exist' }));
    const { exitCode, stderr } = await moor(['save', 'nope:1']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining('reference does not exist') });
    const toFile = await moor(['save', '-o', join(folder, 'never.tar'), 'nope:1']);
    expect(toFile).toMatchObject({ exitCode: 1, stderr });
    expect(readdirSync(folder)).not.toContain('never.tar');
  });

  test('load sends a file or stdin and prints names', async () => {
    daemon.on('POST /images/load', (_call, response) => {
      response.writeHead(200).write('{"status":"Loading layer","progressDetail":{"current":1,"total":2},"id":"abc"}\n');
      response.end('{"stream":"Loaded image: a:1\\n"}\n');
    });
    const loaded = { exitCode: 0, stdout: 'Loaded image: a:1\n', stderr: '' };
    expect(await moor(['load'], 'from stdin')).toEqual(loaded);
    expect(await moor(['load', '-q', '-i', archive])).toEqual(loaded);
    expect(daemon.calls.map(({ body, query }) => [body, query.get('quiet')])).toEqual([
      ['from stdin', 'false'],
      ['a tar', 'true'],
    ]);
    expect(await moor(['load', '-i', join(folder, 'none')])).toMatchObject({ exitCode: 1 });
  });
});

test('import lets the engine fetch an address', async () => {
  daemon.on('POST /images/create', { status: 'sha256:abc' });
  expect((await moor(['import', 'https://files.test/a.tar', 'mine'])).stdout).toBe('sha256:abc\n');
  expect(daemon.calls[0]).toMatchObject({ body: '' });
  expect(daemon.calls[0]?.query.get('fromSrc')).toBe('https://files.test/a.tar');
});

test('images lists each name on a line of its own', async () => {
  const image = { Id: `sha256:${'ab'.repeat(32)}`, Created: 0, Size: 1_030_000 };
  daemon.on('GET /images/json', [{ ...image, RepoTags: ['busybox:latest', 'localhost:5000/bb:1'] }]);
  const { stdout } = await moor(['images']);
  expect(stdout).toMatch(/^busybox +latest +abababababab +5\d years ago +1.03MB$/m);
  expect(stdout).toMatch(/^localhost:5000\/bb +1 /m);
});

test('pull tells the failure that comes within the stream', async () => {
  daemon.on('POST /images/create', (_call, response) => {
    response.writeHead(200).write('{"status":"Pulling fs layer","id":"abc"}\n');
    response.end('{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}\n');
  });
  expect(await moor(['pull', 'localhost:5000/x@sha256:00'])).toEqual({
    exitCode: 1,
    stdout: 'abc: Pulling fs layer\n',
    stderr: 'manifest unknown\n',
  });
  expect(Object.fromEntries(daemon.calls[0]?.query ?? [])).toEqual({ fromImage: 'localhost:5000/x', tag: 'sha256:00' });
});

test('import sends the archive from stdin with every change', async () => {
  daemon.on('POST /images/create', { status: 'sha256:1234' });
  const outcome = await moor(['import', '-c', 'CMD ["sh"]', '-c', 'ENV A=1', '-', 'mine:1'], 'a tar');
  expect(outcome).toEqual({ exitCode: 0, stdout: 'sha256:1234\n', stderr: '' });
  const [call] = daemon.calls;
  expect(call?.body).toBe('a tar');
  expect(call?.query.getAll('changes')).toEqual(['CMD ["sh"]', 'ENV A=1']);
  expect(call?.query.get('repo')).toBe('mine');
});

test('logs of a container with a terminal come unframed', async () => {
  daemon.on('GET /containers/web/json', { Config: { Tty: true } });
  daemon.on('GET /containers/web/logs', (_call, response) => response.writeHead(200).end('raw\r\n'));
  expect((await moor(['logs', '-f', '--tail', '5', 'web'])).stdout).toBe('raw\r\n');
  expect(daemon.calls[1]?.query.get('tail')).toBe('5');
});

test('rm goes on after a failure, and fails at the end', async () => {
  daemon
    .on('DELETE /containers/a', json(409, { message: 'container a is running' }))
    .on('DELETE /containers/b', (_call, response) => response.writeHead(204).end());
  expect(await moor(['rm', 'a', 'b'])).toEqual({
    exitCode: 1,
    stdout: 'b\n',
    stderr: 'Error response from daemon: container a is running\n',
  });
});

test('rm -f forgives a container that is not there', async () => {
  daemon.on('DELETE /containers/a', json(404, { message: 'No such container: a' }));
  expect(await moor(['rm', '-f', 'a'])).toMatchObject({
    exitCode: 0,
    stderr: 'Error response from daemon: No such container: a\n',
  });
});

test('without a daemon it says where it looked', async () => {
  const host = 'unix:///nonexistent/docker.sock';
  const outcome = await moor(['ps'], '', { MOORED_HOST: host });
  expect(outcome).toMatchObject({
    exitCode: 1,
    stderr: `Cannot connect to the Docker daemon at ${host}. Is the docker daemon running?\n`,
  });
});

test('info prints warnings on stderr', async () => {
  daemon.on('GET /info', { Containers: 2, DefaultRuntime: 'runc', Warnings: ['WARNING: crun refuses this host'] });
  const { stdout, stderr } = await moor(['info']);
  expect(stdout).toContain('Containers: 2\n');
  expect(stdout).toContain('Default Runtime: runc\n');
  expect(stderr).toBe('WARNING: crun refuses this host\n');
});
