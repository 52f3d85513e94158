/** The host's SUSE credentials in containers, on the real engine with a host's files of the test's own. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';

const WORD = 'SCC-Geheimwort-4711';
const CREDENTIALS = `username=SCC_1\npassword=${WORD}\n`;

describe('SUSE credentials', () => {
  const host = mkdtempSync(join(tmpdir(), 'moored-suse-'));
  let engine: TestEngine;

  beforeAll(async () => {
    mkdirSync(join(host, 'etc/zypp/credentials.d'), { recursive: true });
    mkdirSync(join(host, 'etc/docker'));
    const scc = join(host, 'etc/zypp/credentials.d/SCCcredentials');
    writeFileSync(scc, CREDENTIALS);
    chownSync(scc, 0, 484);
    chmodSync(scc, 0o640);
    symlinkSync('SCCcredentials', join(host, 'etc/zypp/credentials.d/linked'));
    symlinkSync('gone', join(host, 'etc/zypp/credentials.d/lost'));
    writeFileSync(join(host, 'etc/SUSEConnect'), 'url: https://rmt.example\n');
    writeFileSync(join(host, 'etc/os-release'), 'ID="sles"\nVERSION_ID="15.7"\n');
    engine = await TestEngine.start('--bridge', 'none', '--suse-secrets-root', host);
    await engine.importBusybox();
  });
  afterAll(async () => {
    rmSync(host, { recursive: true, force: true });
    await engine[Symbol.asyncDispose]();
  });

  const inContainer = (script: string, ...options: readonly string[]): Promise<string> =>
    engine.dockerOk('run', '--rm', ...options, 'busybox', 'sh', '-c', script);
  const NONE = 'ls /run/secrets 2>/dev/null || echo none';

  it('are in each container: files, linked files, owner and mode, read-only', async () => {
    const output = await inContainer(
      `cd /run/secrets; ls credentials.d; stat -c '%u:%g %a' credentials.d/SCCcredentials; cat credentials.d/linked SUSEConnect
       grep -c 'tmpfs /run/secrets/[^ ]* tmpfs ro,nosuid,nodev,noexec,' /proc/mounts
       touch credentials.d/x 2>&1; mount -o remount,rw /run/secrets/credentials.d 2>&1; true`,
    );
    expect(output).toContain(`SCCcredentials\nlinked\n0:484 640\n${CREDENTIALS}url: https://rmt.example\n2\n`);
    expect(output).toContain('Read-only file system');
    expect(engine.log()).toContain('credentials.d/lost is a link that leads nowhere');
    expect(engine.log()).not.toContain('credentials.d/linked is');
  });

  it('are said to be on, and why', async () => {
    expect(engine.log()).toMatch(/SUSE secrets are handed to containers.*the distribution is sles/);
    expect(await engine.dockerOk('info', '--format', '{{.SecurityOptions}}')).toContain('name=suse-secrets');
  });

  it('leave nothing behind, in any way out of a container', async () => {
    await engine.dockerOk('run', '-d', '--name', 'quiet', 'busybox', 'sleep', '1000');
    for (const state of ['running', 'stopped']) {
      if (state === 'stopped') await engine.dockerOk('stop', '-t', '0', 'quiet');
      expect(await engine.dockerOk('diff', 'quiet'), state).toBe('');
      const tar = join(host, `${state}.tar`);
      await engine.dockerOk('export', '-o', tar, 'quiet');
      expect(execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }), state).not.toMatch(/^(\.\/)?run\b/m);
      await engine.dockerOk('commit', 'quiet', `quiet:${state}`);
      expect(await inspectLabelsAndMounts('quiet'), state).not.toMatch(/suse_|run\/secrets/);
      const options = ['-l', 'org.moored.suse-secrets=off'];
      expect(await engine.dockerOk('run', '--rm', ...options, `quiet:${state}`, 'sh', '-c', NONE)).toBe('none');
    }
    await engine.dockerOk('rm', 'quiet');
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toMatch(/\/secrets tmpfs|\/secrets - tmpfs/);
    const found = execFileSync('sh', ['-c', 'grep -rlaF -- "$0" "$1" || :', WORD, engine.dataRoot], {
      encoding: 'utf8',
    });
    expect(found).toBe('');
    expect(engine.log()).not.toContain(WORD);
  });

  const inspectLabelsAndMounts = (name: string): Promise<string> => engine.dockerOk('inspect', name);

  it('win over a mount of the user on the same place', async () => {
    const output = await inContainer(
      'cat /run/secrets/SUSEConnect',
      '-v',
      `${host}/etc/os-release:/run/secrets/SUSEConnect`,
    );
    expect(output).toBe('url: https://rmt.example');
    expect(engine.log()).toMatch(/a mount gave way to a secret.*\/run\/secrets\/SUSEConnect/);
  });

  it('lie in a tmpfs of the user, and in a read-only root', async () => {
    expect(await inContainer('cat /run/secrets/SUSEConnect', '--tmpfs', '/run')).toBe('url: https://rmt.example');
    expect(await inContainer('cat /run/secrets/SUSEConnect', '--read-only')).toBe('url: https://rmt.example');
  });

  it('stay out by label', async () => {
    expect(await inContainer(NONE, '-l', 'org.moored.suse-secrets=off')).toBe('none');
  });

  it('change with the host at the next start, and with SUSE’s switch at a reload', async () => {
    writeFileSync(join(host, 'etc/SUSEConnect'), 'url: https://scc.example\n');
    expect(await inContainer('cat /run/secrets/SUSEConnect')).toBe('url: https://scc.example');
    rmSync(join(host, 'etc/SUSEConnect'));
    expect(await inContainer('ls /run/secrets')).toBe('credentials.d');
    writeFileSync(join(host, 'etc/docker/suse-secrets-enable'), '0\n');
    process.kill(engine.pid, 'SIGHUP');
    await expect.poll(() => engine.log()).toContain('SUSE secrets are not handed to containers');
    expect(await inContainer(NONE)).toBe('none');
    expect(await engine.dockerOk('info', '--format', '{{.SecurityOptions}}')).not.toContain('suse-secrets');
  });
});
