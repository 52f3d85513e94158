import { describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();

describe.skipIf(obstacle !== null)(`the rig${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  it('has systemd as PID 1 with bus and polkit, and comes back from a reboot with its files', async () => {
    await using rig = await SystemRig.boot({ files: { '/etc/from-the-test': 'yes' } });
    expect(await rig.ok('systemctl is-system-running')).toBe('running');
    expect(await rig.ok('cat /etc/from-the-test')).toBe('yes');
    expect(await rig.ok('id -un', { user: 'bob' })).toBe('bob');
    expect(await rig.ok('pkaction | grep -c org.freedesktop.systemd1')).not.toBe('0');
    await rig.write('/var/lib/docker/kept', 'kept');
    const before = await rig.ok('cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic');
    await rig.reboot();
    expect(await rig.ok('cat /var/lib/docker/kept')).toBe('kept');
    expect(await rig.ok('cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic')).not.toBe(
      before,
    );
  });
});
