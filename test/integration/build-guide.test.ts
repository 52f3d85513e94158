/**
 * What the Docker guides of SUSE do with builds, on a local Debian root: a custom image with packages, labels that are
 * inherited, an application with its configuration, data shared with the host, a service in the background, and a
 * registration that needs the host's network.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { run, TestEngine, until } from '../support/engine.ts';

const scratch = mkdtempSync(join(tmpdir(), 'moored-guide-'));
const root = join(scratch, 'root');
/** A tar of the root that the caller has made already. */
const given = process.env['MOORED_DEBIAN_ROOT'];
const obstacle = obstacleToContainers() ?? (given === undefined ? await bootstrap() : null);
const because = obstacle === null ? '' : ` (skipped: ${obstacle})`;

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

describe.skipIf(obstacle !== null)(`the guide's images${because}`, () => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await TestEngine.start();
    const tar = await engine.shell(
      `${given === undefined ? `tar -C '${root}' --one-file-system -c .` : `cat '${given}'`} | docker import -c 'LABEL org.opencontainers.image.vendor="Local root"' - debian:local`,
    );
    if (tar.code !== 0) throw new Error(tar.stderr);
    rmSync(root, { recursive: true, force: true });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  /** Builds the files of a directory; what `docker build` printed. */
  async function build(tag: string, files: Readonly<Record<string, string | Buffer>>, ...options: readonly string[]) {
    const context = mkdtempSync(join(scratch, 'context-'));
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(context, name)), { recursive: true });
      writeFileSync(join(context, name), content);
    }
    const env = { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' };
    const result = await run('docker', ['build', '-t', tag, ...options, context], { env });
    if (result.code !== 0) throw new Error(`${result.stdout}${result.stderr}\n${engine.log().slice(-2000)}`);
    return result.stdout;
  }

  it(
    'a custom image: packages are installed in RUN, and nothing of the installation stays',
    { timeout: 120_000 },
    async () => {
      const files = {
        Dockerfile: `FROM debian:local
LABEL maintainer="someone@example.com" description="greets"
RUN --mount=type=bind,source=repository,target=/srv/repository \\
    --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \\
    echo 'deb [trusted=yes] file:/srv/repository ./' >/etc/apt/sources.list && apt-get update && apt-get install -y greeter && rm /etc/apt/sources.list
`,
        ...repository(scratch),
      };
      const output = await build('greeter:1', files);
      expect(output).toContain('Setting up greeter (1.2)');
      expect(await engine.dockerOk('run', '--rm', 'greeter:1', 'greet', 'Geeko')).toBe('Hello, Geeko!');
      expect(await engine.dockerOk('run', '--rm', 'greeter:1', 'dpkg-query', '-W', 'greeter')).toBe('greeter\t1.2');
      const left = 'ls -A /srv; find /var/cache/apt /var/lib/apt/lists -type f';
      expect(await engine.dockerOk('run', '--rm', 'greeter:1', 'sh', '-c', left)).toBe(
        await engine.dockerOk('run', '--rm', 'debian:local', 'sh', '-c', left),
      );
      // The second time nothing is installed again.
      expect(await build('greeter:1', files)).toContain('Using cache');
    },
  );

  it('labels are inherited and shown by inspect', async () => {
    await build('child:1', { Dockerfile: 'FROM greeter:1\nLABEL description="of the child" version="2"\n' });
    const labels = JSON.parse(await engine.dockerOk('inspect', '-f', '{{json .Config.Labels}}', 'child:1')) as unknown;
    expect(labels).toEqual({
      'org.opencontainers.image.vendor': 'Local root',
      maintainer: 'someone@example.com',
      description: 'of the child',
      version: '2',
    });
    expect(await engine.dockerOk('images', '-q', '--filter', 'label=version=2')).not.toBe('');
  });

  it('an application with its configuration shares data with the host', async () => {
    const data = join(scratch, 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'names'), 'Ada\nGrace\n');
    await build('app:1', {
      Dockerfile: `FROM greeter:1
ARG UID=1234
RUN useradd --uid $UID --create-home app
COPY --chown=app:app app.conf /etc/app/app.conf
COPY --chmod=755 app.sh /usr/local/bin/app
WORKDIR /data
VOLUME /data
USER app
ENTRYPOINT ["app"]
CMD ["names"]
`,
      'app.conf': 'GREETING=greeted\n',
      'app.sh':
        '#!/bin/sh\nset -e\n. /etc/app/app.conf\nwhile read -r name; do greet "$name"; done <"$1" >/tmp/out\ncat /tmp/out >"$GREETING"\n',
    });
    execFileSync('chown', ['-R', '1234', data]);
    await engine.dockerOk('run', '--rm', '-v', `${data}:/data`, 'app:1');
    expect(readFileSync(join(data, 'greeted'), 'utf8')).toBe('Hello, Ada!\nHello, Grace!\n');
    expect(statSync(join(data, 'greeted')).uid).toBe(1234);
  });

  it('a service in the background', async () => {
    await build('service:1', {
      Dockerfile: `FROM greeter:1
COPY serve.sh /usr/sbin/serve
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1s --start-period=1s CMD test -e /run/serving
CMD ["sh", "/usr/sbin/serve"]
`,
      'serve.sh':
        'trap "echo stopped; exit 0" TERM\ntouch /run/serving\necho serving\nwhile :; do sleep 1 & wait $!; done\n',
    });
    await engine.dockerOk('run', '-d', '--name', 'service', 'service:1');
    await until(async () => (await engine.dockerOk('logs', 'service')) === 'serving');
    await until(
      async () => (await engine.dockerOk('inspect', '-f', '{{.State.Health.Status}}', 'service')) === 'healthy',
    );
    await engine.dockerOk('stop', 'service');
    expect(await engine.dockerOk('logs', 'service')).toBe('serving\nstopped');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.ExitCode}}', 'service')).toBe('0');
  });

  it('a registration reaches what the host alone can reach', async () => {
    const server = createServer((socket) => socket.end('{"server-fqdn":"smt.example"}\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { readonly port: number };
    try {
      const files = {
        Dockerfile: `FROM debian:local
ARG PORT
RUN bash -c 'cat </dev/tcp/127.0.0.1/$PORT >/registered'
`,
      };
      await build('registered:1', files, '--network', 'host', '--build-arg', `PORT=${String(port)}`);
      expect(await engine.dockerOk('run', '--rm', 'registered:1', 'cat', '/registered')).toBe(
        '{"server-fqdn":"smt.example"}',
      );
      await expect(build('alone:1', files, '--build-arg', `PORT=${String(port)}`)).rejects.toThrow(
        /returned a non-zero code: 1/,
      );
    } finally {
      server.close();
    }
  });
});

/** A package `greeter` in a repository for apt, as files of a context. */
function repository(scratch: string): Readonly<Record<string, string | Buffer>> {
  const tree = join(scratch, 'greeter');
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  const control =
    'Package: greeter\nVersion: 1.2\nArchitecture: all\nMaintainer: Someone <someone@example.com>\nDepends: dash\nDescription: greets\n';
  writeFileSync(join(tree, 'DEBIAN/control'), control);
  writeFileSync(join(tree, 'usr/bin/greet'), '#!/bin/sh\necho "Hello, $1!"\n', { mode: 0o755 });
  const file = join(scratch, 'greeter.deb');
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', tree, file], { stdio: 'pipe' });
  const bytes = readFileSync(file);
  const sum = createHash('sha256').update(bytes).digest('hex');
  const entry = `Filename: ./greeter.deb\nSize: ${String(bytes.length)}\nSHA256: ${sum}\n`;
  return { 'repository/greeter.deb': bytes, 'repository/Packages': `${control}${entry}` };
}

/** Makes the local root of the machine's own mirror; why not, where it cannot be had. */
async function bootstrap(): Promise<string | null> {
  if (!existsSync('/usr/sbin/debootstrap')) return 'debootstrap is not installed';
  const places = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].filter((path) => existsSync(path));
  const text = places.map((path) => readFileSync(path, 'utf8')).join('\n');
  const mirror = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(https?:\S+)/m.exec(text)?.[1];
  if (mirror === undefined) return 'this machine has no mirror of Debian';
  const made = await run('debootstrap', ['--variant=minbase', 'bookworm', root, mirror], {});
  return made.code === 0 ? null : `debootstrap: ${made.stdout.trim().split('\n').at(-1) ?? ''}`;
}
