/** The API on TCP: TLS with and without client certificates, renewal by reload, and what dockerd says of mistakes. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until } from '../support/engine.ts';
import { MOORED } from '../support/program.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`TLS${isRoot ? '' : ' (skipped: an engine needs root)'}`, () => {
  let directory = '';
  const at = (name: string): string => join(directory, name);
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });

  /** A certificate `name.pem` with key `name-key.pem`, signed by the authority. */
  function issue(name: string, authority: string, subject: string): void {
    writeFileSync(at('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n');
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}-key.pem`,
      '-subj',
      `/CN=${subject}`,
      '-out',
      'csr',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      'csr',
      '-CA',
      `${authority}.pem`,
      '-CAkey',
      `${authority}-key.pem`,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      'ext',
      '-out',
      `${name}.pem`,
    );
  }

  function authority(name: string): void {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      `${name}-key.pem`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  }

  async function freePort(): Promise<number> {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    return port;
  }

  /** An engine that listens everywhere: its own socket answers before the others are open. */
  async function started(...flags: readonly string[]): Promise<TestEngine> {
    const engine = await TestEngine.start(...flags);
    await until(() => engine.log().includes('Daemon has completed initialization'));
    return engine;
  }

  const client = (port: number, ...args: readonly string[]) =>
    run('docker', ['-H', `tcp://127.0.0.1:${String(port)}`, ...args], {
      env: { ...process.env, DOCKER_CONFIG: at('cli'), DOCKER_CLI_HINTS: 'false' },
    });
  const withCertificate = (name: string): readonly string[] => [
    '--tlsverify',
    '--tlscacert',
    at('ca.pem'),
    '--tlscert',
    at(`${name}.pem`),
    '--tlskey',
    at(`${name}-key.pem`),
  ];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mt-tls-'));
    mkdirSync(at('cli'));
    authority('ca');
    authority('stranger');
    issue('server', 'ca', 'first');
    issue('client', 'ca', 'client');
    issue('intruder', 'stranger', 'intruder');
    writeFileSync(at('junk.pem'), 'junk');
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  const serverFlags = (name = 'server'): readonly string[] => [
    '--tlscacert',
    at('ca.pem'),
    '--tlscert',
    at(`${name}.pem`),
    '--tlskey',
    at(`${name}-key.pem`),
  ];

  it('lets in clients with a certificate of the authority, and nobody else', async () => {
    const [port, second] = [await freePort(), await freePort()];
    await using engine = await started(
      '--tlsverify',
      ...serverFlags(),
      '-H',
      `tcp://127.0.0.1:${String(port)}`,
      '-H',
      `tcp://localhost:${String(second)}`,
    );
    await engine.importBusybox();
    for (const place of [port, second]) {
      const answered = await client(place, ...withCertificate('client'), 'version', '--format', '{{.Server.Os}}');
      expect([answered.stdout, answered.stderr, answered.code]).toEqual(['linux\n', '', 0]);
    }
    // Streams both ways, and half-closes, work as on the socket.
    const echoed = await run(
      'docker',
      [
        '-H',
        `tcp://127.0.0.1:${String(port)}`,
        ...withCertificate('client'),
        'run',
        '-i',
        '--rm',
        '--network',
        'none',
        'busybox',
        'cat',
      ],
      { stdin: 'x'.repeat(300_000), env: { ...process.env, DOCKER_CONFIG: at('cli') } },
    );
    expect(echoed.stdout).toBe('x'.repeat(300_000));
    const intruder = await client(port, ...withCertificate('intruder'), 'version');
    expect([intruder.code, intruder.stderr]).toEqual([1, expect.stringMatching(/certificate|EOF|reset/)]);
    const bare = await client(port, '--tls', '--tlscacert', at('ca.pem'), 'version');
    expect([bare.code, bare.stderr]).toEqual([1, expect.stringMatching(/certificate|EOF|reset/)]);
    const plain = await client(port, 'version');
    expect(plain.stderr).toContain('Client sent an HTTP request to an HTTPS server.');
    expect(engine.log()).not.toContain('--tlsverify is insecure');
    expect(await engine.dockerOk('info', '--format', '{{json .Warnings}}')).not.toContain('API is accessible');
    const old = connect({
      host: '127.0.0.1',
      port,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
      rejectUnauthorized: false,
    });
    const [error] = (await once(old, 'error')) as [Error];
    expect(error.message).toMatch(/version|alert|reset|disconnected/i);
  });

  it('takes a renewed certificate with a reload, and keeps the old one when the new one is broken', async () => {
    const port = await freePort();
    issue('renewed', 'ca', 'first');
    await using engine = await started('--tls', ...serverFlags('renewed'), '-H', `tcp://127.0.0.1:${String(port)}`);
    const subject = async (): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { subject: name } = socket.getPeerCertificate();
      socket.destroy();
      return String(name.CN);
    };
    expect(await subject()).toBe('first');
    expect((await client(port, '--tlsverify', '--tlscacert', at('ca.pem'), 'version')).code).toBe(0);
    expect(engine.log()).toContain('Binding to IP address without --tlsverify is insecure');
    expect(await engine.dockerOk('info', '--format', '{{json .Warnings}}')).toContain(
      `API is accessible on https://127.0.0.1:${String(port)} without TLS client verification.`,
    );
    issue('renewed', 'ca', 'second');
    process.kill(engine.pid, 'SIGHUP');
    await until(() => engine.log().includes('Reloaded configuration'));
    expect(await subject()).toBe('second');
    const told = 'The TLS certificates have changed';
    expect(engine.log().split(told)).toHaveLength(2);
    writeFileSync(at('renewed.pem'), 'junk');
    process.kill(engine.pid, 'SIGHUP');
    await until(() => engine.log().includes('configuration not reloaded'));
    expect(engine.log()).toContain('error reading X509 key pair');
    expect(engine.log().split(told)).toHaveLength(2);
    expect(await subject()).toBe('second');
  });

  it('warns of plain TCP as dockerd does', async () => {
    const port = await freePort();
    await using engine = await started('-H', `tcp://127.0.0.1:${String(port)}`);
    expect((await client(port, 'version')).code).toBe(0);
    expect(engine.log()).toContain(
      'Binding to IP address without --tlsverify is insecure and gives root access on this machine to everyone who has access to your network.',
    );
    expect(await engine.dockerOk('info', '--format', '{{json .Warnings}}')).toContain(
      `[DEPRECATION NOTICE]: API is accessible on http://127.0.0.1:${String(port)} without encryption.`,
    );
  });

  it.each([
    [
      'a missing certificate',
      ['--tls', '--tlscert', '/no/cert.pem', '--tlskey', '/no/key.pem'],
      'could not load X509 key pair (cert: "/no/cert.pem", key: "/no/key.pem"): open /no/cert.pem: no such file or directory',
    ],
    [
      'a broken certificate',
      () => ['--tls', '--tlscert', at('junk.pem'), '--tlskey', at('server-key.pem')],
      'error reading X509 key pair - make sure the key is not encrypted',
    ],
    [
      'a key of another certificate',
      () => ['--tls', '--tlscert', at('server.pem'), '--tlskey', at('client-key.pem')],
      'error reading X509 key pair',
    ],
    [
      'a missing authority',
      () => [
        '--tlsverify',
        '--tlscacert',
        '/no/ca.pem',
        '--tlscert',
        at('server.pem'),
        '--tlskey',
        at('server-key.pem'),
      ],
      'could not read CA certificate "/no/ca.pem": open /no/ca.pem: no such file or directory',
    ],
    [
      'a broken authority',
      () => [
        '--tlsverify',
        '--tlscacert',
        at('junk.pem'),
        '--tlscert',
        at('server.pem'),
        '--tlskey',
        at('server-key.pem'),
      ],
      'failed to append certificates from PEM file: ',
    ],
  ] as const)('does not start with %s', async (_name, flags, text) => {
    const args = typeof flags === 'function' ? flags() : flags;
    const place = ['--data-root', at('data'), '--exec-root', at('exec'), '-p', at('pid'), '-H', 'tcp://127.0.0.1:0'];
    const refused = await run(MOORED, [...place, ...args], {});
    expect(refused.code).toBe(1);
    expect(JSON.parse(/level=error msg=(".*")/.exec(refused.stderr)?.[1] ?? '""')).toContain(text);
  });
});
