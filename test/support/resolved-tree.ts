/**
 * systemd-resolved for a rig whose machine has none: its package, fetched and unpacked into a folder, never installed
 * here, where it would take /etc/resolv.conf.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './engine.ts';
import type { SystemRig } from './system-rig.ts';

const RESOLVED = '/lib/systemd/systemd-resolved';
const FETCH_LIMIT_S = 30;

/** Starts it in the rig. What keeps it from that, or null. */
export async function startResolved(rig: SystemRig): Promise<string | null> {
  if (!existsSync(RESOLVED)) {
    const problem = await unpackInto(rig.root);
    if (problem !== null) return problem;
  }
  const steps = [
    'systemd-sysusers',
    // The rig masks what its machine runs.
    'systemctl unmask -q systemd-resolved',
    'systemctl daemon-reload',
    'busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig',
    'systemctl start systemd-resolved',
  ];
  const { code, stderr } = await rig.run(steps.join(' && '));
  return code === 0 ? null : `systemd-resolved does not start: ${stderr}`;
}

async function unpackInto(root: string): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), 'resolved-'));
  try {
    const line = `cd ${folder} && timeout ${String(FETCH_LIMIT_S)} apt-get download -q systemd-resolved`;
    const fetched = await run('sh', ['-c', line], {});
    const [deb] = readdirSync(folder);
    if (fetched.code !== 0 || deb === undefined) return 'the package systemd-resolved cannot be had';
    const unpacked = await run(
      'sh',
      ['-c', `dpkg-deb --fsys-tarfile ${join(folder, deb)} | tar -C ${root} -xh --keep-directory-symlink`],
      {},
    );
    return unpacked.code === 0 ? null : `systemd-resolved cannot be unpacked: ${unpacked.stderr}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
