/** An engine that cannot start: what the client that woke it hears, and what systemd makes of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();

describe.skipIf(obstacle !== null)(`a refused start${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true });
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('tells the client what is wrong with the configuration, and is not tried again', async () => {
    await options('--no-such-flag');
    await rig.ok('systemctl start docker.socket');
    const refused = await rig.run('docker ps');
    expect(refused.stderr).toBe(
      'Error response from daemon: unable to configure the Docker daemon: ' +
        `/etc/sysconfig/docker:${await lineOfOptions()}: DOCKER_OPTS: unknown flag: --no-such-flag\nSee 'moored --help'.\n`,
    );
    await rig.until('systemctl is-failed docker', 'the end of the service');
    expect(await rig.ok('systemctl show -p NRestarts -p ExecMainStatus docker')).toBe('NRestarts=0\nExecMainStatus=78');
    expect(await rig.ok('systemctl is-active docker.socket')).toBe('active');
  });

  it('tells the client why the engine cannot come up', async () => {
    await options('--seccomp-profile /nowhere.json');
    const refused = await rig.run('docker ps');
    expect(refused.stderr).toContain(
      'Error response from daemon: failed to start daemon: opening seccomp profile (/nowhere.json) failed',
    );
  });

  it('tells the client that the group of another socket is not there', async () => {
    await rig.ok('systemctl stop docker docker.socket; systemctl start docker.socket');
    await options('-G nobodys -H unix:///run/other.sock');
    const refused = await rig.run('docker ps');
    expect(refused.stderr).toBe(
      'Error response from daemon: failed to start daemon: failed to load listeners: group nobodys not found\n',
    );
  });

  it('tells the client that another socket cannot be had, and leaves what runs', async () => {
    await options('');
    await rig.ok('systemctl stop docker docker.socket; systemctl start docker.socket');
    await rig.importBusybox();
    await rig.ok('docker run -d --name web busybox top; systemctl kill -s KILL docker.service; systemctl stop docker');
    await options('-H tcp://192.0.2.1:2375');
    const refused = await rig.run('docker ps');
    expect(refused.stderr).toMatch(
      /^Error response from daemon: failed to start daemon: failed to load listeners: .*192\.0\.2\.1/,
    );
    await rig.ok('pgrep -x top');
  });

  it('serves the next client once the file is mended', async () => {
    await options('');
    await rig.until('docker ps', 'an engine');
    expect(await rig.ok('systemctl is-active docker')).toBe('active');
  });

  async function options(words: string): Promise<void> {
    await rig.ok(`sed -i 's|^DOCKER_OPTS=.*|DOCKER_OPTS="${words}"|' /etc/sysconfig/docker`);
  }

  async function lineOfOptions(): Promise<string> {
    return rig.ok('grep -n ^DOCKER_OPTS= /etc/sysconfig/docker | cut -d: -f1');
  }
});
