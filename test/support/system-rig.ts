/**
 * A machine with systemd as PID 1, D-Bus, polkit and journald, made in a second and thrown away: systemd-nspawn over this
 * machine's own root (see system-rig/boot). One for each test file; nothing it does is seen outside.
 *
 *   await using rig = await SystemRig.boot({ installed: true });
 *   await rig.ok('systemctl start docker.socket');          // a shell line, stdout
 *   const refused = await rig.run('docker ps', { user: 'bob' });  // { code, stdout, stderr }
 *   await rig.until('docker inspect web', 'web is there');  // polls, with a bound
 *
 * `installed`: what `./install` lays down lies over the root, as a package would put it there (made once a test run).
 * Users alice (4001) and bob (4002) exist and are in no group. The project is visible, read-only, at its own path.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { run, type CommandResult } from './engine.ts';
import { commandOf, Guest, type LineOptions } from './guest.ts';

const PROJECT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
const BOOT = join(PROJECT, 'test/support/system-rig/boot');
/** Where the tree made by `./install` lies; test/system/global-setup.ts makes it and takes it away. */
export const INSTALLED_TREE_VARIABLE = 'MOORED_TEST_INSTALLED';

export interface RigOptions {
  /** Lay an installed moored over the root. */
  readonly installed?: boolean;
  /** Files to write before systemd starts, by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
}

export class SystemRig extends Guest implements AsyncDisposable {
  protected override readonly patienceMs = 30_000;
  readonly #boot: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #leader = '';
  #root = '';

  private constructor(boot: ChildProcess, lines: AsyncIterator<string>) {
    super();
    this.#boot = boot;
    this.#lines = lines;
  }

  /** The guest's root as this machine sees it. */
  get root(): string {
    return this.#root;
  }

  /** Why no rig can be had here; null when it can. For `describe.skipIf` with the reason in the name. */
  static obstacle(): string | null {
    if (process.getuid?.() !== 0) return 'systemd-nspawn needs root';
    if (!existsSync('/lib/systemd/systemd')) return 'systemd is not installed';
    for (const program of ['/usr/bin/systemd-nspawn', '/usr/bin/dbus-daemon', '/usr/bin/busctl']) {
      try {
        accessSync(program, constants.X_OK);
      } catch {
        return `${program} is not installed`;
      }
    }
    // A container of the build machine's may forbid mounts, whatever the user's name.
    const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'probe', '/mnt'], { stdio: 'ignore' });
    return probe.status === 0 ? null : 'mounting is forbidden here';
  }

  static async boot(options: RigOptions = {}): Promise<SystemRig> {
    const work = mkdtempSync('/var/tmp/moored-rig-');
    const lower: string[] = [];
    writeTree(join(work, 'files'), options.files ?? {});
    if (options.installed === true) {
      const tree = process.env[INSTALLED_TREE_VARIABLE];
      if (tree === undefined) throw new Error('no installed tree: run with the `system` project of vitest');
      lower.push(tree);
    }
    const child = spawn(BOOT, [work, PROJECT, ...lower], { stdio: ['pipe', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const rig = new SystemRig(child, createInterface({ input: child.stdout })[Symbol.asyncIterator]());
    if (!(await rig.#ready())) throw new Error(`the rig did not boot:\n${errors}`);
    return rig;
  }

  /** Shuts the guest down in good order and boots it again; files, and what lies in /var/lib/docker, stay. */
  async reboot(): Promise<void> {
    this.#boot.stdin?.write('reboot\n');
    if (!(await this.#ready())) throw new Error('the guest did not come back');
  }

  async #ready(): Promise<boolean> {
    const { value, done } = await this.#lines.next();
    if (done === true) return false;
    const [, leader = '', root = ''] = value.split(' ');
    this.#leader = leader;
    this.#root = root;
    return true;
  }

  override run(line: string, { user, stdin }: LineOptions = {}): Promise<CommandResult> {
    const enter = ['-t', this.#leader, '-m', '-u', '-i', '-n', '-p', '-C', '--'];
    return run('nsenter', [...enter, ...commandOf(line, user)], stdin === undefined ? {} : { stdin });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#boot, 'exit');
    this.#boot.stdin?.end();
    await ended;
  }
}

function writeTree(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
