import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const ROOT = join(import.meta.dirname, '../..');
const UNITS = ['docker.service', 'docker.socket', 'docker-autostart.service', 'docker.slice'];
const obstacle = SystemRig.obstacle();
const reason = obstacle === null ? '' : ` (skipped: ${obstacle})`;
const deb = !existsSync('/usr/bin/dpkg-deb');

describe.skipIf(obstacle !== null)(`an installed moored${reason}`, () => {
  test('is clean to systemd, polkit, udev and the bus, and nothing of it runs', async () => {
    await using rig = await SystemRig.boot({ installed: true });
    const verified = await rig.run(`systemd-analyze verify ${UNITS.join(' ')}`);
    expect(verified).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await rig.ok('pkaction')).split('\n').filter((action) => action.startsWith('org.moored.'))).toHaveLength(
      12,
    );
    expect(await rig.ok('busctl list --activatable --no-legend')).toContain('org.moored.Engine1');
    expect(await rig.ok('getent group docker; id -un dockremap')).toMatch(/^docker:x:[^]*\ndockremap$/);
    expect(await rig.ok('stat -c "%a %n" /var/lib/docker /var/lib/moored')).toBe(
      '710 /var/lib/docker\n700 /var/lib/moored',
    );

    const rules = await rig.run('udevadm test /devices/virtual/mem/null 2>&1 | grep 80-docker.rules');
    expect(rules.stdout.trim()).toBe('Reading rules file: /usr/lib/udev/rules.d/80-docker.rules');
    expect((await rig.run(`systemctl is-active ${UNITS.slice(0, 3).join(' ')}`)).stdout).not.toMatch(/^active/m);
    expect((await rig.run('systemctl is-enabled docker.service docker.socket')).stdout).toBe('disabled\ndisabled\n');
    expect(await rig.ok('journalctl -b -o cat _COMM=dbus-daemon _COMM=polkitd')).not.toMatch(/moored|docker/i);
  });

  test('comes with its socket, for root and the group docker, which a stop of the service leaves alone', async () => {
    await using rig = await SystemRig.boot({ installed: true });
    await rig.ok('systemctl enable --now docker.socket && usermod -aG docker alice');
    const socket = 'stat -c "%F %a %U:%G %i" /run/docker.sock';
    const before = await rig.ok(socket);
    expect(before).toMatch(/^socket 660 root:docker /);
    expect((await rig.run('systemctl is-active docker.service')).stdout).toBe('inactive\n');

    expect(await rig.ok('curl -sf --unix-socket /run/docker.sock http://docker/_ping', { user: 'alice' })).toBe('OK');
    const refused = await rig.run('moor ping', { user: 'bob' });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/permission denied/i);
    expect(await rig.ok('systemctl show -P StatusText -P ActiveState docker')).toContain('active');
    expect(await rig.ok('ps -o comm= -p $(systemctl show -P MainPID docker)')).toBe('moored');

    const stopped = await rig.run('systemctl stop docker.service');
    expect(stopped.code).toBe(0);
    expect(stopped.stderr).toContain('can still be activated by');
    expect(await rig.ok(socket)).toBe(before);
    expect(await rig.ok('moor ping')).toBe('OK');
    await rig.ok('systemctl restart docker.service');
    expect(await rig.ok(socket)).toBe(before);
    await rig.ok('systemctl restart docker.socket');
    expect(await rig.ok('moor ping')).toBe('OK');
  });

  test('with the socket alone enabled, starts at boot when a container waits for it, and only then', async () => {
    await using rig = await SystemRig.boot({ installed: true });
    await rig.ok('systemctl enable --now docker.socket');
    expect((await rig.run('systemctl is-active docker-autostart.service docker.service')).stdout).toBe(
      'inactive\ninactive\n',
    );
    await rig.importBusybox();
    const run = 'docker run -d --stop-signal KILL --network none';
    await rig.ok(`${run} --name back --restart unless-stopped busybox sleep 1000`);
    await rig.ok(`${run} --name away busybox sleep 1000`);
    await rig.reboot();
    await rig.until('systemctl is-active docker.service', 'the engine, started for a container');
    await rig.until('docker ps | grep -w back', 'the container that was to come back');
    expect(await rig.ok("docker ps -a --format '{{.Names}} {{.State}}' | sort")).toBe('away exited\nback running');

    await rig.ok('docker stop back');
    await rig.reboot();
    await rig.until('systemctl is-active sockets.target docker.socket', 'the sockets');
    expect((await rig.run('systemctl is-active docker-autostart.service docker.service')).stdout).toBe(
      'inactive\ninactive\n',
    );
  });
});

describe.skipIf(obstacle !== null)(`./install on a running system${reason}`, () => {
  test('tells systemd and the bus, keeps what was configured, and takes itself away again', async () => {
    await using rig = await SystemRig.boot({
      files: { '/etc/sysconfig/docker': '# ours\nDOCKER_OPTS="--debug"\n' },
    });
    const { install, environment } = bundleFor(rig);
    const first = await rig.run(`${environment} ${install}`);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toContain('To have it: systemctl enable --now docker.socket');
    const text = await rig.ok('cat /etc/sysconfig/docker');
    expect(text).toMatch(/^# ours\nDOCKER_OPTS="--debug"$/m);
    expect(text).toMatch(/^DOCKER_NETWORK_OPTIONS=""$/m);
    expect((await rig.run('systemctl is-enabled docker.socket')).stdout).toBe('disabled\n');
    await rig.ok('systemctl enable --now docker.socket');
    expect(await rig.ok('moor ping')).toBe('OK');
    expect((await rig.run(`${environment} ${install}`)).stderr).toContain('systemctl restart docker.service');
    expect(await rig.ok('cat /etc/sysconfig/docker')).toBe(text);

    const removed = await rig.run(`${install} --uninstall`);
    expect(removed.code, removed.stderr).toBe(0);
    expect(removed.stderr).toContain(
      '/etc/sysconfig/docker was changed here and stays as /etc/sysconfig/docker.rpmsave',
    );
    expect(await rig.ok('cat /etc/sysconfig/docker.rpmsave')).toBe(text);
    expect((await rig.run('ls -d /usr/lib/moored /usr/bin/moored /usr/lib/systemd/system/docker.service')).stdout).toBe(
      '',
    );
    expect((await rig.run('systemctl is-active docker.service docker.socket')).stdout).not.toMatch(/^active/m);
    expect((await rig.run('ls -A /var/lib/docker')).stdout).not.toBe('');
  });
});

/** A bundle in the guest: made there it would take longer, and the project is read-only. */
function bundleFor(rig: SystemRig): { readonly install: string; readonly environment: string } {
  const inside = '/var/tmp/bundle';
  const made = spawnSync(join(ROOT, 'bin/bundle'), [join(rig.root, inside)], { encoding: 'utf8' });
  expect(made.status, made.stderr).toBe(0);
  return { install: join(ROOT, 'install'), environment: `BUNDLE=${inside}` };
}

describe.skipIf(obstacle !== null || deb)(
  `the Debian package${reason}${deb ? ' (skipped: dpkg-deb is not installed)' : ''}`,
  () => {
    test('installs beside nothing, serves, and goes without the data', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'moored-deb-'));
      try {
        await using rig = await SystemRig.boot();
        const env = { ...process.env, FAST: 'yes' };
        const built = spawnSync(join(ROOT, 'packaging/build'), ['deb', folder], { encoding: 'utf8', env });
        expect(built.status, built.stderr).toBe(0);
        const [name = ''] = readdirSync(folder);
        cpSync(join(folder, name), join(rig.root, 'var/tmp', name));

        // The machine may have Docker's own package: the two exclude each other.
        if ((await rig.run('dpkg -s docker.io')).code === 0) {
          const refused = await rig.run(`dpkg --force-unsafe-io -i /var/tmp/${name}`);
          expect(refused.stderr).toContain('conflicting packages');
          await rig.ok('dpkg --no-triggers --force-depends --remove docker.io');
        }
        await rig.ok(`dpkg --force-unsafe-io -i /var/tmp/${name}`);
        expect(await rig.ok('dpkg --verify moored')).toBe('');
        expect(await rig.ok('cat /etc/sysconfig/docker')).toMatch(/^DOCKER_OPTS=""$/m);
        expect((await rig.run('systemctl is-active docker.socket docker.service')).stdout).not.toMatch(/^active/m);
        await rig.ok('systemctl enable --now docker.socket');
        expect(await rig.ok('moor ping')).toBe('OK');
        const pid = await rig.ok('systemctl show -P MainPID docker.service');
        await rig.ok(`echo 'DOCKER_OPTS="--debug"' >/etc/sysconfig/docker`);
        await rig.ok(`dpkg --force-unsafe-io -i /var/tmp/${name}`);
        expect(await rig.ok('systemctl is-active docker.service')).toBe('active');
        expect(await rig.ok('systemctl show -P MainPID docker.service')).not.toBe(pid);
        expect(await rig.ok('cat /etc/sysconfig/docker')).toMatch(/^DOCKER_OPTS="--debug"$/m);

        await rig.ok('dpkg --remove moored');
        expect((await rig.run('systemctl is-active docker.socket docker.service')).stdout).not.toMatch(/^active/m);
        expect((await rig.run('ls /usr/lib/moored')).code).not.toBe(0);
        expect((await rig.run('ls -A /var/lib/docker')).stdout).not.toBe('');
        await rig.ok('dpkg --purge moored');
        expect((await rig.run('ls /etc/sysconfig/docker /etc/audit/rules.d/docker.rules')).stdout).toBe('');
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  },
);
