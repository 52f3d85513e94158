import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, until, type CommandResult } from './engine.ts';
import { comesAlive, isGone } from './left-alive.ts';

const START_TIMEOUT_MS = 60_000;

/** Why no real dockerd can be asked here; null when one can. */
export const peerAbsence: string | null =
  spawnSync('dockerd', ['--version']).error === undefined ? null : 'dockerd is not installed';

/** What a title says of tests that are skipped. */
export function skipNote(why: string | null): string {
  return why === null ? '' : ` (skipped: ${why})`;
}

/** A real dockerd beside ours, for what it prints: own socket and data, and no network of its own. */
export interface DockerPeer extends AsyncDisposable {
  readonly socketPath: string;
  /** Runs the docker CLI on it. */
  docker(args: readonly string[], input?: { readonly stdin?: string | Buffer }): Promise<CommandResult>;
}

/** `flags` are its own further ones. */
export async function startDockerPeer(...flags: readonly string[]): Promise<DockerPeer> {
  return await start(['dockerd', '--bridge', 'none', '--iptables=false', ...flags]);
}

/** One that has the network namespace of this file to itself, with a bridge and rules. */
export async function startDockerPeerIn(netns: string, ...flags: readonly string[]): Promise<DockerPeer> {
  return await start(['nsenter', `--net=${netns}`, 'dockerd', ...flags]);
}

async function start([program, ...flags]: readonly [string, ...string[]]): Promise<DockerPeer> {
  const root = mkdtempSync(join(tmpdir(), 'moored-peer-'));
  const socketPath = join(root, 'd.sock');
  const host = `unix://${socketPath}`;
  const data = flags.includes('--data-root') ? [] : ['--data-root', join(root, 'data')];
  const place = [...data, '--exec-root', join(root, 'exec'), '-p', join(root, 'pid')];
  const child = spawn(program, [...flags, ...place, '-H', host], { stdio: 'ignore' });
  const env = { ...process.env, DOCKER_HOST: host, DOCKER_CLI_HINTS: 'false', DOCKER_CONFIG: join(root, 'cli') };
  const docker: DockerPeer['docker'] = (args, input) => run('docker', args, { ...input, env });
  const peer: DockerPeer = {
    socketPath,
    docker,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        await ended;
      }
      // Namespaces of the networks that containers had from it stay mounted.
      for (const path of mountsBelow(root)) await run('umount', ['--lazy', path], {});
      rmSync(root, { recursive: true, force: true });
      isGone(peer);
    },
  };
  comesAlive(peer);
  await until(async () => (await docker(['version'])).code === 0, START_TIMEOUT_MS);
  return peer;
}

/** Innermost first. */
function mountsBelow(directory: string): readonly string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${directory}/`))
    .reverse();
}
