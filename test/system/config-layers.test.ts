/** Where options come from on a host with systemd: SUSE's way to pass them, fragments, conflicts, and what explains them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const SYSCONFIG = '/etc/sysconfig/docker';
/** What SUSE's package ships. */
const SUSE_DAEMON_JSON = JSON.stringify({
  'log-level': 'warn',
  'log-driver': 'json-file',
  'log-opts': { 'max-size': '10m', 'max-file': '5' },
  'selinux-enabled': true,
});

describe.skipIf(obstacle !== null)(`layers of options${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true });
    await rig.write('/etc/docker/daemon.json', SUSE_DAEMON_JSON);
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const set = (name: string, value: string): Promise<string> =>
    rig.ok(`sed -i -f - ${SYSCONFIG}`, { stdin: `s|^${name}=.*|${name}="${value}"|` });
  const labels = (): Promise<string> => rig.ok("docker info -f '{{.Labels}}'");
  const shown = async (key: string): Promise<string | undefined> =>
    (await rig.ok('moored config show')).split('\n').find((line) => line.startsWith(`${key} `));

  it('count DOCKER_OPTS once that an old unit passes as words, and a reload sees the file', async () => {
    const start = await rig.ok("systemctl cat docker.service | sed -n 's/^ExecStart=//p'");
    await rig.write(
      '/etc/systemd/system/docker.service.d/suse.conf',
      `[Service]\nEnvironmentFile=${SYSCONFIG}\nExecStart=\nExecStart=${start} --add-runtime oci=/usr/sbin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS\n`,
    );
    await set('DOCKER_OPTS', "--label 'site=a b' --label rack=1");
    await rig.ok('systemctl daemon-reload && systemctl start docker.service');
    expect(await rig.ok('tr "\\0" " " < /proc/$(systemctl show -p MainPID --value docker)/cmdline')).toContain(
      '--label site=a b --label rack=1',
    );
    expect(await labels()).toBe('[site=a b rack=1]');
    await set('DOCKER_OPTS', '--label rack=2');
    await rig.ok('systemctl reload docker');
    expect(await labels()).toBe('[rack=2]');
    expect(await rig.ok("docker info -f '{{.Runtimes.oci.Path}}'")).toBe('/usr/sbin/runc');
  });

  it('take fragments, and explain themselves', async () => {
    await rig.write(
      '/etc/docker/daemon.json.d/10-site.json',
      '{"shutdown-timeout": 30, "log-opts": {"max-file": "3"}}',
    );
    await set('DOCKER_SHUTDOWN_TIMEOUT', '20');
    await rig.ok('systemctl reload docker');
    expect(await shown('shutdown-timeout')).toMatch(
      /^shutdown-timeout +30 +\/etc\/docker\/daemon\.json\.d\/10-site\.json:1 +20 \(\/etc\/sysconfig\/docker:\d+ DOCKER_SHUTDOWN_TIMEOUT\) +live$/,
    );
    expect(await shown('log-opts')).toContain('{max-size=10m max-file=3}');
    expect(await rig.ok("docker info -f '{{.LoggingDriver}}'")).toBe('json-file');
  });

  it('are dockerd’s error when a flag repeats a key, and layers when asked', async () => {
    await set('DOCKER_OPTS', '--log-level debug');
    const conflict = 'log-level: (from flag: debug, from file: warn)';
    const refused = await rig.run('moored --validate');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(conflict)]);
    expect((await rig.run('systemctl restart docker.service')).code).not.toBe(0);
    expect(await rig.ok('journalctl -u docker -o cat --no-pager')).toContain(conflict);
    await set('DOCKER_CONFIG_CONFLICTS', 'flag-wins');
    await rig.ok(
      'systemctl stop docker.service; systemctl reset-failed docker.service; systemctl start docker.service',
    );
    expect(await shown('log-level')).toMatch(/debug .*DOCKER_OPTS +warn \(\/etc\/docker\/daemon\.json:1\) +live$/);
    const valid = await rig.run('moored --validate');
    expect([valid.code, valid.stderr]).toEqual([0, expect.stringContaining('configuration OK\n')]);
  });

  it('point at traps with file, line and cure', async () => {
    await rig.ok(`printf 'export DOCKER_DEBUG="yes"\\n' >> ${SYSCONFIG}`);
    const line = await rig.ok(`wc -l < ${SYSCONFIG}`);
    const { code, stderr } = await rig.run('moored --validate');
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^error: ${SYSCONFIG}:${line}: .+\\. .+`, 'm'));
  });
});
