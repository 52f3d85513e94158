import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, type ContainerId } from '../../src/base/ids.ts';
import type { ProcessSpec, RuntimeSpec } from '../../src/engine/oci/runtime-spec.ts';
import { cgroupsPathOf, detectCgroups, removeCgroup } from '../../src/engine/runtime/cgroups.ts';

const APPLETS = ['sh', 'cat', 'echo', 'sleep', 'seq', 'stty', 'true', 'grep', 'id', 'dd', 'yes', 'head', 'tail'];
const QUIET = ['nosuid', 'noexec', 'nodev'];

/**
 * A directory with a busybox root file system and any number of bundles on it, and a cgroup of its own. Disposing takes
 * all of it away; the containers must have gone.
 */
export class Bundles implements Disposable {
  readonly root: string;
  readonly cgroups = detectCgroups();
  readonly cgroupParent: string;

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'mrt-'));
    this.cgroupParent = `/${this.root.split('/').at(-1) ?? ''}`;
    const rootfs = join(this.root, 'rootfs');
    for (const name of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp']) mkdirSync(join(rootfs, name), { recursive: true });
    copyFileSync(busyboxPath(), join(rootfs, 'bin/busybox'));
    for (const applet of APPLETS) symlinkSync('busybox', join(rootfs, 'bin', applet));
    writeFileSync(join(rootfs, 'etc/data'), 'no program\n', { mode: 0o644 });
  }

  /** Makes a bundle whose process is `args`. */
  make(
    args: readonly string[],
    options: { readonly terminal?: boolean; readonly change?: (spec: RuntimeSpec) => RuntimeSpec } = {},
  ): { readonly id: ContainerId; readonly path: string } {
    const id = newId<ContainerId>();
    const path = join(this.root, 'bundles', id.slice(0, 12));
    mkdirSync(path, { recursive: true });
    const spec: RuntimeSpec = {
      ociVersion: '1.0.2',
      process: processSpec(args, options.terminal ?? false),
      root: { path: join(this.root, 'rootfs') },
      hostname: 'bundle',
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc', options: QUIET },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
        {
          destination: '/dev/pts',
          type: 'devpts',
          source: 'devpts',
          options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
        },
      ],
      annotations: {},
      linux: {
        namespaces: ['mount', 'pid', 'ipc', 'uts', 'network'].map((type) => ({ type })),
        cgroupsPath: cgroupsPathOf(id, { driver: 'cgroupfs', parent: this.cgroupParent }),
        resources: { devices: [{ allow: false, access: 'rwm' }] },
      },
    };
    writeFileSync(join(path, 'config.json'), JSON.stringify(options.change?.(spec) ?? spec));
    return { id, path };
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
    removeCgroup(this.cgroups, this.cgroupParent);
  }
}

/** A process of root with few capabilities. */
export function processSpec(args: readonly string[], terminal = false): ProcessSpec {
  const capabilities = ['CAP_KILL', 'CAP_SETUID', 'CAP_SETGID', 'CAP_AUDIT_WRITE'];
  return {
    terminal,
    user: { uid: 0, gid: 0 },
    args,
    env: ['PATH=/bin'],
    cwd: '/',
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
  };
}

/** Why containers cannot be run here, or null. */
export function obstacleToContainers(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = ['crun', 'runc', 'conmon', 'busybox'].filter((name) => pathOf(name) === null);
  return missing.length === 0 ? null : `not installed: ${missing.join(', ')}`;
}

/** Where a program is, or null. */
export function pathOf(name: string): string | null {
  const path = ['/usr/bin', '/usr/sbin', '/bin', '/usr/local/bin', '/usr/local/sbin'].map((dir) => join(dir, name));
  return path.find((candidate) => existsSync(candidate)) ?? null;
}

function busyboxPath(): string {
  const path = pathOf('busybox');
  if (path === null) throw new Error('busybox is not installed');
  const linked = spawnSync(path, ['true']);
  if (linked.status !== 0) throw new Error('busybox does not run');
  return path;
}
