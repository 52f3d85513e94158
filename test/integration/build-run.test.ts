/** RUN on the real engine: what a step sees, what it may, and what is left of it afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';

const SCC_WORD = 'SCC-Geheimwort-0815';
const SECRET = 'Kennwort-4711';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('RUN', () => {
  const host = mkdtempSync(join(tmpdir(), 'moored-run-'));
  const context = join(host, 'context');
  const agentPath = join(host, 'agent');
  let agent: Server;
  let engine: TestEngine;

  beforeAll(async () => {
    mkdirSync(join(context, 'sub'), { recursive: true });
    writeFileSync(join(context, 'file'), 'of the context\n');
    writeFileSync(join(context, 'sub/inner'), 'inner\n');
    mkdirSync(join(host, 'etc/zypp/credentials.d'), { recursive: true });
    mkdirSync(join(host, 'etc/docker'));
    writeFileSync(join(host, 'etc/zypp/credentials.d/SCCcredentials'), `password=${SCC_WORD}\n`);
    writeFileSync(join(host, 'etc/os-release'), 'ID="sles"\nVERSION_ID="15.7"\n');
    agent = createServer((client) => client.end('keys of the host\n')).listen(agentPath);
    engine = await TestEngine.start('--suse-secrets-root', host);
    await engine.importBusybox();
    await engine.api('POST', '/secrets/create', { Name: 'own', Data: base64(SECRET) });
    const Labels = { 'org.moored.build-secret': 'on' };
    await engine.api('POST', '/secrets/create', { Name: 'open', Data: base64('for all builds'), Labels });
    await engine.api('POST', '/secrets/create', { Name: 'closed', Data: base64(SECRET) });
    mkdirSync(join(engine.root, 'cli'), { recursive: true });
    const HttpHeaders = {
      'X-Moored-Build-Secrets': base64(JSON.stringify({ given: base64('of the request'), own: null })),
      'X-Moored-Build-SSH': base64(JSON.stringify({ default: agentPath })),
    };
    writeFileSync(join(engine.root, 'cli/config.json'), JSON.stringify({ HttpHeaders }));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    agent.close();
    rmSync(host, { recursive: true, force: true });
  });
  beforeEach(() => rmSync(join(context, 'Dockerfile'), { force: true }));

  /** Builds `FROM busybox` and the lines; each test has its own name, so that none finds another's steps in the cache. */
  const build = (name: string, lines: string, ...options: readonly string[]): Promise<CommandResult> =>
    run('docker', ['build', '--no-cache', '-f', '-', '-t', name, ...options, context], {
      stdin: `FROM busybox\n${lines}\n`,
      env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
    });
  const outputOf = async (...args: Parameters<typeof build>): Promise<string> => {
    const { code, stdout, stderr } = await build(...args);
    if (code !== 0) throw new Error(`${stdout}${stderr}\n${engine.log().slice(-2000)}`);
    return stdout;
  };
  const layersOf = (image: string): Promise<string> =>
    engine.dockerOk('image', 'inspect', '-f', '{{len .RootFS.Layers}}', image);
  const containers = (): Promise<string> => engine.dockerOk('ps', '-aq');
  const stepsUnderWay = (): readonly string[] => readdirSync(join(engine.dataRoot, 'build/steps'));
  const mounts = (): readonly string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${engine.root}/`) && !line.includes('/netns'));

  it('mounts the context, stages, caches and memory, none of which is in its layer', async () => {
    const output = await outputOf(
      'mounts',
      `RUN echo of a stage > /tool && ln -s /tool /link
FROM busybox
RUN --mount=type=bind,target=/ctx \\
    --mount=type=bind,source=sub,target=/w/sub,rw \\
    --mount=type=bind,from=0,source=/link,target=/opt/tool \\
    --mount=type=bind,from=0,target=/whole,rw \\
    --mount=type=tmpfs,target=/mem,size=1m \\
    --mount=type=cache,target=/cached,uid=7,gid=8,mode=0750 \\
    cat /ctx/file /w/sub/inner /opt/tool /whole/tool; touch /ctx/x; rm /w/sub/inner; echo new > /w/sub/new; rm /whole/tool; \\
    grep -o ' /mem tmpfs.*size=1024k' /proc/mounts | cut -c1-11; stat -c '%u:%g %a' /cached
RUN --mount=type=bind,source=sub,target=/root/below/it ls /root/below/it; echo kept > /kept`,
    );
    expect(output).toContain('of the context\ninner\nof a stage\nof a stage\n');
    expect(output).toContain('/ctx/x: Read-only file system');
    expect(output).toContain(' /mem tmpfs');
    expect(output).toContain('7:8 750\n');
    expect(readdirSync(join(context, 'sub'))).toEqual(['inner']);
    // The first RUN with mounts has changed nothing; the second made one file.
    expect(await layersOf('mounts')).toBe('2');
    const saved = join(host, 'saved.tar');
    await engine.dockerOk('save', '-o', saved, 'mounts');
    const manifest = await engine.shell(`tar xOf ${saved} manifest.json`);
    const [{ Layers = [] } = {}] = JSON.parse(manifest.stdout) as readonly { readonly Layers?: readonly string[] }[];
    const last = await engine.shell(`tar xOf ${saved} ${Layers.at(-1) ?? ''} > ${saved}.layer; tar tf ${saved}.layer`);
    expect(last).toMatchObject({ code: 0, stdout: 'kept\n' });
    expect(stepsUnderWay()).toEqual([]);
  });

  it('mounts below the working directory, and runs what a heredoc has as a program', async () => {
    const output = await outputOf(
      'relative',
      `WORKDIR /srv/app
RUN --mount=target=ctx --mount=type=cache,target=../cache,id=relative cat ctx/file; grep -o ' /srv/cache ' /proc/mounts
USER nobody
RUN <<PROGRAM
#!/bin/cat
of a program
PROGRAM`,
    );
    expect(output).toContain('of the context\n /srv/cache \n');
    expect(output).toContain('#!/bin/cat\nof a program\n');
    const everything = await build('relative', 'RUN --mount=type=tmpfs,target=. true');
    expect(everything.stderr).toContain('invalid mount target "/"');
  });

  it('says what is not there to be mounted', async () => {
    const missing = await build('none', 'RUN --mount=type=bind,source=nothing,target=/x true');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('"/nothing": not found');
    const secret = await build('none', 'RUN --mount=type=secret,id=nosuch,required=true true');
    expect(secret.stderr).toContain('secret nosuch: not found');
    const ssh = await build('none', 'RUN --mount=type=ssh,id=other,required=true true');
    expect(ssh.stderr).toContain('no SSH key "other" forwarded from the client');
    expect(await containers()).toBe('');
  });

  it('shows secrets and agents to the command, and to nobody else', async () => {
    const output = await outputOf(
      'secrets',
      `RUN --mount=type=secret,id=given --mount=type=secret,id=own,target=/root/.pw,mode=0440,gid=10 \\
    --mount=type=secret,id=own,env=PW --mount=type=secret,id=nosuch --mount=type=ssh,uid=7 \\
    cat /run/secrets/given; stat -c '%a %g' /run/secrets/given /root/.pw; test "$PW" = "$(cat /root/.pw)" && echo same; \\
    stat -c '%A %u' $SSH_AUTH_SOCK; ls /run/secrets; cat /run/secrets/credentials.d/SCCcredentials | md5sum`,
    );
    expect(output).toContain('of the request400 0\n440 10\nsame\nsrw------- 7\n');
    expect(output).toContain('credentials.d\ngiven\n');
    expect(await layersOf('secrets')).toBe('1');
    const saved = await engine.shell(
      'docker save secrets | tar xO | grep -ac -e Kennwort -e Geheimwort -e "of the request"',
    );
    expect(saved.stdout).toBe('0\n');
    expect(readFileSync(join(engine.dataRoot, 'state.db'), 'latin1')).not.toContain('of the request');
    expect(await layersOf('secrets')).toBe('1');
  });

  it('has those secrets of the engine alone that the request names, or that say so themselves', async () => {
    const mounts = ['open', 'closed'].map((id) => `--mount=type=secret,id=${id}`).join(' ');
    const output = await outputOf('consent', `RUN ${mounts} cat /run/secrets/open; ls /run/secrets`);
    expect(output).toContain('for all builds');
    expect(output).not.toContain('\nclosed\n');
    const refused = await build('consent', 'RUN --mount=type=secret,id=closed,required=true cat /run/secrets/closed');
    expect(refused.stderr).toContain('secret closed: not allowed: name it in the request');
  });

  it('shows the host credentials of SUSE, unless the image says that it does not want them', async () => {
    const output = await outputOf('suse', 'RUN cat /run/secrets/credentials.d/SCCcredentials; echo x > /run/mine');
    expect(output).toContain(`password=${SCC_WORD}\n`);
    const listed = await engine.dockerOk(
      'run',
      '--rm',
      '--label',
      'org.moored.suse-secrets=off',
      'suse',
      'find',
      '/run',
    );
    expect(listed).toBe('/run\n/run/mine');
    const off = await outputOf('off', 'LABEL org.moored.suse-secrets=off\nRUN ls /run/secrets 2>&1; true');
    expect(off).toContain('No such file or directory');
  });

  it('has no secret that an image asks for by its label', async () => {
    const output = await outputOf('label', 'LABEL org.moored.secret.own=\nRUN ls /run/secrets');
    expect(output).not.toContain('\nown\n');
  });

  it('keeps to the limits and networks of the request', async () => {
    const output = await outputOf(
      'limits',
      `ARG WORD
RUN ulimit -n; df -k /dev/shm | awk 'END { print $2 }'; grep db /etc/hosts; ls /sys/class/net; echo $WORD
RUN cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; true`,
      ...['--memory', '64m', '--ulimit', 'nofile=123:456', '--shm-size', '2m', '--add-host', 'db:10.1.2.3'],
      ...['--network', 'none', '--build-arg', 'WORD=given'],
    );
    expect(output).toContain('123\n2048\n10.1.2.3\tdb\nlo\ngiven\n');
    expect(output).toContain('67108864\n');
    const bridged = await outputOf('bridged', 'RUN ls /sys/class/net\nRUN --network=none ls /sys/class/net | tr o 0');
    expect(bridged).toContain('eth0\nlo\n');
    expect(bridged).toContain('\nl0\n');
    const env = await engine.dockerOk('image', 'inspect', '-f', '{{json .Config.Env}}', 'limits');
    expect(env).not.toContain('given');
  });

  it('is given the host, or all rights, where whoever builds says so', async () => {
    const refused = await build('asks', 'RUN --network=host true');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('network.host is not allowed');
    expect((await build('asks', 'RUN --security=insecure true')).stderr).toContain('security.insecure is not allowed');
    const script =
      "RUN --security=insecure grep CapEff /proc/self/status\nRUN --network=host ls /sys/class/net | tr '\\n' ' '";
    const allowed = await outputOf(
      'allowed',
      script,
      ...['--security-opt', 'security.insecure', '--security-opt', 'network.host'],
    );
    const all = await engine.dockerOk('run', '--rm', '--privileged', 'busybox', 'grep', 'CapEff', '/proc/self/status');
    expect(allowed).toContain(`${all}\n`);
    expect(allowed).toContain(engine.bridge);
    expect(await outputOf('hostly', 'RUN ls /sys/class/net', '--network', 'host')).toContain(engine.bridge);
  });

  it('ends the build with the exit code of the command', async () => {
    const failed = await build('failed', 'RUN echo before; exit 7');
    expect(failed).toMatchObject({ code: 7 });
    expect(failed.stdout).toContain('\nbefore\n');
    expect(failed.stderr).toContain("The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7");
    const missing = await build('failed', 'RUN ["/no/program"]');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('/no/program');
    expect(await containers()).toBe('');
  });

  it('leaves its container where --rm=false asks for it, good for all that containers are for', async () => {
    await outputOf('kept', 'RUN echo kept > /kept', '--rm=false');
    const [id = '', ...more] = (await containers()).split('\n');
    expect(more).toEqual([]);
    expect(await engine.dockerOk('diff', id)).toBe('A /kept');
    await engine.dockerOk('start', '-a', id);
    await engine.dockerOk('rm', id);
  });

  it('lets one at a time have a cache that is locked, over all builds', async () => {
    const script =
      'RUN --mount=type=cache,id=alone,target=/c,sharing=locked mkdir /c/busy && sleep 0.1 && rmdir /c/busy';
    const builds = await Promise.all([build('lock1', script), build('lock2', script), build('lock3', script)]);
    expect(builds.map(({ code }) => code)).toEqual([0, 0, 0]);
  });

  /** Starts a build whose RUN fills a cache and then stays; resolves when it has got so far. */
  const stayingBuild = async (name: string) => {
    const script = `FROM busybox\nRUN --mount=type=cache,id=${name},target=/c --mount=type=bind,target=/ctx,rw --mount=type=secret,id=own \\
      echo filled > /c/f; echo x > /ctx/x; echo ready; sleep 1000\n`;
    const child = spawn('docker', ['build', '--no-cache', '-f', '-', '-t', name, context], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
    });
    child.stdin.end(script);
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    await until(() => told.includes('\nready\n'));
    return child;
  };
  const readCache = (name: string): Promise<string> =>
    outputOf(`${name}-again`, `RUN --mount=type=cache,id=${name},target=/c cat /c/f`);

  it('ends at once when the client goes', async () => {
    const before = mounts();
    const client = await stayingBuild('left');
    expect(await containers()).not.toBe('');
    client.kill('SIGKILL');
    await until(async () => (await containers()) === '' && stepsUnderWay().length === 0);
    expect(mounts()).toEqual(before);
    expect(await readCache('left')).toContain('\nfilled\n');
  });

  it('leaves nothing but its caches when the engine is killed', async () => {
    const before = mounts();
    const client = await stayingBuild('killed');
    const gone = once(client, 'exit');
    await engine.end('SIGKILL');
    await gone;
    await engine.boot();
    expect(await containers()).toBe('');
    expect(stepsUnderWay()).toEqual([]);
    expect(mounts()).toEqual(before);
    expect(await readCache('killed')).toContain('\nfilled\n');
  });
});
