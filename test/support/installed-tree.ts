/** Before the system tests: what `./install` lays down, in a folder of its own, for {@link SystemRig}; once a run. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { INSTALLED_TREE_VARIABLE, SystemRig } from './system-rig.ts';

const PREFIX = '/var/tmp/moored-installed-';
const PROJECT = new URL('../..', import.meta.url).pathname;

/** Returns what takes the tree away again. Does nothing where no rig can be had. */
export default function makeInstalledTree(): (() => void) | undefined {
  if (SystemRig.obstacle() !== null) return undefined;
  sweep();
  const tree = mkdtempSync(`${PREFIX}${String(process.pid)}-`);
  // An overlay refuses a lower layer that lies inside another: the machine's root is one.
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'moored-installed', tree]);
  const takeAway = (): void => drop(tree);
  const installed = spawnSync(join(PROJECT, 'install'), [], {
    env: { ...process.env, DESTDIR: tree },
    encoding: 'utf8',
  });
  if (installed.status !== 0) {
    takeAway();
    throw new Error(`./install failed: ${installed.stdout}${installed.stderr}${String(installed.error ?? '')}`);
  }
  process.env[INSTALLED_TREE_VARIABLE] = tree;
  return takeAway;
}

function drop(tree: string): void {
  spawnSync('umount', ['-l', tree]);
  rmSync(tree, { recursive: true, force: true });
}

/** Takes away what runs that were killed could not. */
function sweep(): void {
  for (const path of globSync(`${PREFIX}*`)) {
    const pid = Number(path.slice(PREFIX.length).split('-')[0]);
    if (pid > 0 && !existsSync(`/proc/${String(pid)}`)) drop(path);
  }
}
