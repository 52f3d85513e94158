/** The daemons of a bench: ours, dockerd and podman, each in a place of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, TestEngine, until } from '../support/engine.ts';
import { CpuAccount } from './account.ts';
import type { Side } from './side-by-side.ts';

/** A daemon that can be ended and started again over what it keeps. */
export interface Contender extends Side, AsyncDisposable {
  /** Its present process. */
  readonly pid: number;
  /** The directory that its monitors or shims name on their command lines. */
  readonly root: string;
  readonly account: CpuAccount;
  end(): Promise<void>;
  /** Starts it; returns once `_ping` answers. */
  boot(): Promise<void>;
}

/** `flags` are its own further ones. */
export async function startOurs(...flags: readonly string[]): Promise<Contender> {
  const engine = await TestEngine.start(...flags);
  const account = new CpuAccount('moored');
  account.adopt(engine.pid);
  return {
    name: 'moored',
    account,
    socketPath: engine.socketPath,
    root: engine.root,
    get pid() {
      return engine.pid;
    },
    end: () => engine.end(),
    boot: async () => {
      await engine.boot();
      account.adopt(engine.pid);
    },
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      account[Symbol.dispose]();
    },
  };
}

/** dockerd, live-restoring, behind its own network namespace; `flags` are its own further ones. */
export function startDockerd(...flags: readonly string[]): Promise<Contender> {
  const place = flags.includes('--data-root') ? [] : ['--data-root'];
  return startPeer('dockerd', (root, socketPath) => [
    ...['dockerd', '--live-restore', ...place.flatMap((flag) => [flag, join(root, 'data')])],
    ...['--exec-root', join(root, 'exec'), '-p', join(root, 'pid'), '-H', `unix://${socketPath}`, ...flags],
  ]);
}

/** podman's service, behind its own network namespace too. */
export function startPodman(): Promise<Contender> {
  return startPeer('podman', (root, socketPath) => {
    // Its Docker front swaps unequal defaults of nofile; raising nproc may be forbidden.
    const configuration = ['[containers]', 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]', '[network]'];
    writeFileSync(
      join(root, 'containers.conf'),
      [...configuration, `network_config_dir = "${root}/networks"`, ''].join('\n'),
    );
    return [
      ...['env', `CONTAINERS_CONF=${join(root, 'containers.conf')}`, 'podman'],
      ...['--root', join(root, 'data'), '--runroot', join(root, 'run'), '--tmpdir', join(root, 'tmp')],
      ...['--storage-driver', 'overlay', 'system', 'service', '--time', '0', `unix://${socketPath}`],
    ];
  });
}

async function startPeer(
  name: string,
  commandOf: (root: string, socketPath: string) => readonly string[],
): Promise<Contender> {
  const root = mkdtempSync(join(tmpdir(), `bench-${name}-`));
  const socketPath = join(root, 'd.sock');
  const netns = `bench${name}${String(process.pid)}`;
  const command = commandOf(root, socketPath);
  spawnSync('sh', ['-c', `ip netns add ${netns} && ip -n ${netns} link set lo up`]);
  const account = new CpuAccount(name);
  let child: ChildProcess | null = null;
  const end = async (): Promise<void> => {
    if (child?.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  const boot = async (): Promise<void> => {
    // A group of its own: who ends the bench by its group (`timeout`) leaves it to clear up.
    child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...command], { stdio: 'ignore', detached: true });
    const ping = ['-sf', '--unix-socket', socketPath, 'http://d/_ping'];
    await until(async () => (await run('curl', ping, {})).code === 0, 60_000);
    account.adopt(child.pid ?? 0);
  };
  await boot();
  return {
    name,
    socketPath,
    root,
    account,
    get pid() {
      // nsenter and env become what they start.
      return child?.pid ?? 0;
    },
    end,
    boot,
    [Symbol.asyncDispose]: async () => {
      // They would outlive it.
      const remove = `docker -H unix://${socketPath} ps -aq | xargs -r docker -H unix://${socketPath} rm -f`;
      await run('sh', ['-c', remove], {});
      await end();
      account[Symbol.dispose]();
      spawnSync('ip', ['netns', 'delete', netns]);
      // podman leaves its storage mounted on itself.
      for (const path of mountsBelow(root)) spawnSync('umount', ['-l', path]);
      rmSync(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Innermost first. */
function mountsBelow(root: string): readonly string[] {
  const targets = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return targets
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${root}/`))
    .toReversed();
}
