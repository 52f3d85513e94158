/**
 * A machine with a kernel of its own and nothing but cgroup v2, which the build machine may not have: Debian's cloud kernel
 * in qemu, over this machine's own root (see vm-rig/boot). It is emulated: ten to twenty times slower than the machine it
 * runs on, so one boot serves all tests of a file. Used as SystemRig is.
 *
 *   await using rig = await VmRig.boot();                       // no service but the rig's own agent
 *   await using rig = await VmRig.boot({ installed: true });    // systemd, D-Bus and an installed moored
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { CommandResult } from './engine.ts';
import { comesAlive, isGone } from './left-alive.ts';
import { commandOf, Guest, type LineOptions } from './guest.ts';
import { INSTALLED_TREE_VARIABLE, SystemRig } from './system-rig.ts';

const PROJECT = new URL('../..', import.meta.url).pathname.replace(/\/$/, '');
const BOOT = join(PROJECT, 'test/support/vm-rig/boot');
/** Longer than any line of a test takes, and the boot. */
const LINE_LIMIT_MS = 600_000;
const POLL_MS = 20;
const MODULES = '/lib/modules';
const NO_KERNEL = 'there is no cloud kernel of Debian’s (linux-image-cloud-amd64)';
const VIRTIOFSD: readonly string[] = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'];

export interface VmOptions {
  /** Lay an installed moored over the root and start systemd. */
  readonly installed?: boolean;
  /** Files to write before the guest boots, by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface VmLineOptions extends LineOptions {
  /** Gets its standard output as it comes. */
  readonly onOutput?: ((text: string) => void) | null;
}

export class VmRig extends Guest implements AsyncDisposable {
  protected override readonly patienceMs = 120_000;
  readonly #boot: ChildProcess;
  readonly #exchange: string;
  #ended: Error | null = null;
  #count = 0;
  #powerCuts = 0;

  private constructor(boot: ChildProcess, exchange: string) {
    super();
    this.#boot = boot;
    this.#exchange = exchange;
  }

  /** Why no rig can be had here; null when it can. */
  static obstacle(): string | null {
    const obstacle = SystemRig.obstacle();
    if (obstacle !== null) return obstacle;
    if (process.arch !== 'x64') return 'the emulated machine is an x86 one';
    for (const program of ['/usr/bin/qemu-system-x86_64', '/usr/bin/busybox', '/usr/bin/cpio', '/usr/sbin/modprobe']) {
      if (!isExecutable(program)) return `${program} is not installed`;
    }
    if (!VIRTIOFSD.some(isExecutable)) return 'virtiofsd is not installed';
    return kernelVersion() === null ? NO_KERNEL : null;
  }

  static async boot({ installed = false, files = {} }: VmOptions = {}): Promise<VmRig> {
    const version = kernelVersion();
    if (version === null) throw new Error(NO_KERNEL);
    const lower: string[] = [];
    if (installed) {
      const tree = process.env[INSTALLED_TREE_VARIABLE];
      if (tree === undefined) throw new Error('no installed tree: run with the `vm` project of vitest');
      lower.push(tree);
    }
    const work = mkdtempSync('/var/tmp/moored-rig-');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(work, 'files', path)), { recursive: true });
      writeFileSync(join(work, 'files', path), text);
    }
    const words = [work, PROJECT, version, installed ? 'systemd' : 'bare', ...lower];
    const boot = spawn(BOOT, words, { stdio: ['pipe', 'ignore', 'pipe'] });
    let errors = '';
    boot.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const rig = new VmRig(boot, join(work, 'rig'));
    comesAlive(rig);
    boot.once('close', () => (rig.#ended = new Error(`the emulated machine has ended:\n${errors}`)));
    await rig.#statusOf(0, null);
    return rig;
  }

  /** A folder that this machine and the guest share. */
  exchangeFolder(name: string): { readonly here: string; readonly there: string } {
    return { here: join(this.#exchange, name), there: `/rig/${name}` };
  }

  /** The power fails and comes back; returns when the guest is up again. What was synced is there. Lines that run, fail. */
  async loseAndRegainPower(): Promise<void> {
    this.#count = 0;
    this.#powerCuts += 1;
    const wasUp = join(this.#exchange, '0.status');
    this.#boot.kill('SIGUSR1');
    while (existsSync(wasUp)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await this.#statusOf(0, null);
  }

  override async run(line: string, { user, stdin = '', onOutput = null }: VmLineOptions = {}): Promise<CommandResult> {
    const number = ++this.#count;
    const file = (kind: string): string => join(this.#exchange, `${String(number)}.${kind}`);
    writeFileSync(file('in'), stdin);
    writeFileSync(file('made'), commandOf(line, user).map(quoted).join(' '));
    renameSync(file('made'), file('line'));
    const code = await this.#statusOf(number, onOutput);
    return { code, stdout: readFileSync(file('out'), 'utf8'), stderr: readFileSync(file('err'), 'utf8') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    isGone(this);
    if (this.#ended !== null) return;
    const ended = once(this.#boot, 'close');
    this.#boot.stdin?.end();
    await ended;
  }

  async #statusOf(number: number, onOutput: ((text: string) => void) | null): Promise<number> {
    const path = join(this.#exchange, `${String(number)}.status`);
    const output = onOutput === null ? null : new GrowingFile(join(this.#exchange, `${String(number)}.out`));
    const deadline = performance.now() + LINE_LIMIT_MS;
    const powerCuts = this.#powerCuts;
    for (;;) {
      // Numbers begin anew: what is there now is another line's.
      if (powerCuts !== this.#powerCuts) throw new Error('the power failed');
      const isThere = existsSync(path);
      const text = output?.more() ?? '';
      if (text !== '') onOutput?.(text);
      if (isThere) return Number(readFileSync(path, 'utf8'));
      if (this.#ended !== null) throw this.#ended;
      if (performance.now() > deadline) throw new Error('the emulated machine does not answer');
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

/** Text that somebody still writes. */
class GrowingFile {
  readonly #path: string;
  readonly #decoder = new StringDecoder('utf8');
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** What has come since the last time. */
  more(): string {
    if (!existsSync(this.#path)) return '';
    const file = openSync(this.#path, 'r');
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#offset);
      this.#offset += readSync(file, bytes, 0, bytes.length, this.#offset);
      return this.#decoder.write(bytes);
    } finally {
      closeSync(file);
    }
  }
}

function kernelVersion(): string | null {
  const versions = existsSync(MODULES) ? readdirSync(MODULES) : [];
  return versions.filter((name) => name.includes('cloud') && existsSync(`/boot/vmlinuz-${name}`)).at(-1) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
