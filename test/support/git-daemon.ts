/** A real git server on the loopback, with one repository. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';

const AS = ['-c', 'user.name=test', '-c', 'user.email=test@example.test', '-c', 'init.defaultBranch=main'];

export interface TestRepository {
  /** What its own working tree is. */
  readonly path: string;
  git(...args: string[]): string;
  /** Writes files and commits them; the commit's name. */
  commit(files: Readonly<Record<string, string>>): string;
}

/** A repository at `path`, with nothing in it. */
export function makeRepository(path: string): TestRepository {
  mkdirSync(path, { recursive: true });
  const git = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync('git', [...AS, ...args], { cwd: path, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  git('init', '--quiet');
  return {
    path,
    git,
    commit(files) {
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(path, name)), { recursive: true });
        writeFileSync(join(path, name), text);
      }
      git('add', '--all');
      git('commit', '--quiet', '--message', 'files');
      return git('rev-parse', 'HEAD');
    },
  };
}

/** Serves all repositories below a directory; dispose to end it. */
export async function serveRepositories(directory: string): Promise<AsyncDisposable & { readonly port: number }> {
  const port = await freePort();
  const words = ['daemon', '--reuseaddr', '--export-all', '--listen=127.0.0.1', `--port=${String(port)}`];
  const server = spawn('git', [...words, `--base-path=${directory}`, '--verbose', directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  const ended = once(server, 'exit');
  await Promise.race([readyWord(server.stderr), ended]);
  return {
    port,
    async [Symbol.asyncDispose]() {
      // Its own children, too.
      if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid, 'SIGKILL');
      await ended;
    },
  };
}

/** Read on for as long as it lives: it dies of a word that nobody takes. */
async function readyWord(stream: NodeJS.ReadableStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.on('data', (text: Buffer) => {
    if (text.toString().includes('Ready to rumble')) resolve();
  });
  await promise;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
