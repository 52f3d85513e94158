import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { comesAlive, isGone } from './left-alive.ts';
import { MOORED } from './program.ts';

/** A daemon that has not ended by then when it is disposed of never will; containers have ten seconds of it. */
const END_LIMIT_MS = 40_000;

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An HTTP answer. */
export interface ApiResult {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
  readonly json: unknown;
}

/**
 * A real daemon from this checkout with a root, socket, bridge and firewall table of its own. `await using` takes all
 * of it away again.
 */
export class TestEngine implements AsyncDisposable {
  readonly root: string;
  readonly socketPath: string;
  readonly bridge: string;
  readonly subnetPrefix: string;
  /** Where users' networks get their pools from, 256 of them. */
  readonly poolBase: string;
  readonly #flags: readonly string[];
  readonly #netns: string | null;
  readonly #busAddress: string;
  #process: ChildProcess | null = null;

  private constructor(flags: readonly string[], busAddress: string | null, netns: string | null = null) {
    this.root = mkdtempSync(join(tmpdir(), 'mt-'));
    // As on a real host: root of a user namespace must come through to its container.
    chmodSync(this.root, 0o711);
    this.socketPath = join(this.root, 'd.sock');
    const tag = randomBytes(3);
    this.bridge = `mt${tag.toString('hex')}`;
    this.subnetPrefix = `10.${String(100 + ((tag[0] ?? 0) % 100))}.${String(tag[1] ?? 0)}`;
    this.poolBase = `10.${String(200 + ((tag[2] ?? 0) % 56))}.0.0/16`;
    this.#flags = flags;
    this.#netns = netns;
    // Never the host's own bus: no test may take its name there.
    this.#busAddress = busAddress ?? `unix:path=${join(this.root, 'no-bus')}`;
  }

  static async start(...flags: readonly string[]): Promise<TestEngine> {
    return await TestEngine.#booted(new TestEngine(flags, null));
  }

  /** One whose host is the network namespace of this file, which it leaves as it was. */
  static async startIn(netns: string, ...flags: readonly string[]): Promise<TestEngine> {
    return await TestEngine.#booted(new TestEngine(flags, null, netns));
  }

  /** One that is also on a bus of the test's own. */
  static async startOnBus(busAddress: string, ...flags: readonly string[]): Promise<TestEngine> {
    return await TestEngine.#booted(new TestEngine(flags, busAddress));
  }

  /** What does not start leaves nothing either; why it did not start is what the caller must see. */
  static async #booted(engine: TestEngine): Promise<TestEngine> {
    comesAlive(engine);
    try {
      await engine.boot();
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]().catch(() => undefined);
      throw error;
    }
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the engine does not run');
    return pid;
  }

  /** Settles with the exit code when the daemon ends by itself; null when a signal killed it. */
  get exited(): Promise<number | null> {
    const child = this.#process;
    if (child === null) throw new Error('the engine does not run');
    return once(child, 'exit').then(([code]) => code as number | null);
  }

  get dataRoot(): string {
    return join(this.root, 'data');
  }

  /** Starts the daemon (again) and waits until its socket answers. */
  async boot(): Promise<void> {
    const log = openSync(join(this.root, 'log'), 'a');
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.#busAddress };
    const [program, ...args] = this.#command();
    const child = spawn(program, args, { stdio: ['ignore', log, log], env });
    closeSync(log);
    this.#process = child;
    const ended = once(child, 'exit');
    for (;;) {
      const answer = await Promise.race([
        this.api('GET', '/_ping').catch(() => null),
        ended.then(() => 'ended' as const),
      ]);
      if (answer === 'ended') throw new Error(`the engine did not start:\n${this.log()}`);
      if (answer?.status === 200) return;
      await nextTick();
    }
  }

  /** Sends the daemon a signal and waits for its end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === null) return;
    this.#process = null;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  log(): string {
    const path = join(this.root, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Runs the unmodified docker CLI on this engine. */
  docker(args: readonly string[], input?: { readonly stdin?: string | Buffer }): Promise<CommandResult> {
    return run('docker', args, { ...input, env: this.cliEnvironment });
  }

  /** Runs the docker CLI and returns its stdout without the last newline; throws when it fails. */
  async dockerOk(...args: readonly string[]): Promise<string> {
    const result = await this.docker(args);
    if (result.code !== 0) {
      throw new Error(
        `docker ${args.join(' ')} ended with ${String(result.code)}: ${result.stderr}\n${this.log().slice(-2000)}`,
      );
    }
    return result.stdout.replace(/\n$/, '');
  }

  /** Runs a shell script whose `docker` is the CLI on this engine: for pipelines that no buffer of the test must hold. */
  shell(script: string): Promise<CommandResult> {
    return run('sh', ['-c', script], { env: this.cliEnvironment });
  }

  get cliEnvironment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      DOCKER_HOST: `unix://${this.socketPath}`,
      DOCKER_CLI_HINTS: 'false',
      DOCKER_CONFIG: join(this.root, 'cli'),
    };
  }

  /** One request to the REST API. */
  api(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiResult> {
    return new Promise((resolve, reject) => {
      const payload =
        body === undefined ? null : typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      const type = payload === null ? {} : { 'content-type': 'application/json' };
      const outgoing = request(
        { socketPath: this.socketPath, method, path, headers: { ...type, ...headers }, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, json: parse(text) });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(payload ?? undefined);
    });
  }

  /** Imports a small image made from the host's busybox under `name`. */
  async importBusybox(name = 'busybox:latest'): Promise<void> {
    const result = await this.docker(['import', '-', name], { stdin: await busyboxTar() });
    if (result.code !== 0) throw new Error(`import failed: ${result.stderr}\n${this.log()}`);
  }

  /** Takes all containers away, by the API: a process of the CLI for each test would be most of its time. */
  async removeContainers(): Promise<void> {
    const { json } = await this.api('GET', '/containers/json?all=1');
    const removals = (json as readonly { readonly Id: string }[]).map(async ({ Id: id }) => {
      const { status, body } = await this.api('DELETE', `/containers/${id}?force=1`);
      // What removes itself may be faster, or about to be.
      if (status === 409) await this.api('POST', `/containers/${id}/wait?condition=removed`);
      else if (status !== 204 && status !== 404) throw new Error(`${id} could not be removed: ${body}`);
    });
    await Promise.all(removals);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    const limit = setTimeout(() => child?.kill('SIGKILL'), END_LIMIT_MS);
    // An end in good order would wait ten seconds for what does not hear SIGTERM, as most processes with pid 1.
    if (child !== null) await this.removeContainers().catch(() => undefined);
    await this.end('SIGTERM');
    clearTimeout(limit);
    const [program, ...args] = this.#command();
    const torn = await run(program, [...args, '--tear-down'], {});
    rmSync(this.root, { recursive: true, force: true });
    isGone(this);
    if (torn.code !== 0) throw new Error(`tear-down failed: ${torn.stderr}`);
  }

  /** nsenter becomes the daemon: its pid is the daemon's. */
  #command(): readonly [string, ...string[]] {
    if (this.#netns === null) return [MOORED, ...this.#arguments()];
    return ['nsenter', `--net=${this.#netns}`, MOORED, ...this.#arguments()];
  }

  #arguments(): readonly string[] {
    const inRoot = (name: string): string => join(this.root, name);
    const own = [
      '--data-root',
      inRoot('data'),
      '--exec-root',
      inRoot('exec'),
      '-p',
      inRoot('pid'),
      '-H',
      `unix://${this.socketPath}`,
    ];
    const network = this.#flags.some((flag) => flag === '-b' || flag.startsWith('--bridge'))
      ? []
      : // No --bip beside it: dockerd's rule is that a named bridge has its address already.
        ['--bridge', this.bridge, ...pools(`${this.subnetPrefix}.0/24`, this.poolBase)];
    return [...own, ...network, ...this.#flags];
  }
}

/** The default bridge has the first one, users' networks what follows. */
function pools(...bases: readonly string[]): readonly string[] {
  return bases.flatMap((base) => ['--default-address-pool', `base=${base},size=24`]);
}

/** Runs a program to its end. */
export async function run(
  program: string,
  args: readonly string[],
  options: { readonly stdin?: string | Buffer; readonly env?: NodeJS.ProcessEnv },
): Promise<CommandResult> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

/** Waits until `probe` gives something other than null or false; fails after `limitMs`, never sleeps it through. */
export async function until<T>(
  probe: () => Promise<T | null | false> | T | null | false,
  limitMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== null && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`not reached within ${String(limitMs)} ms: ${probe.toString()}`);
    await nextTick();
  }
}

let cachedTar: Promise<Buffer> | null = null;

/** A root file system tar with the host's static busybox, its applets, and users. */
export function busyboxTar(): Promise<Buffer> {
  cachedTar ??= makeBusyboxTar();
  return cachedTar;
}

async function makeBusyboxTar(): Promise<Buffer> {
  const script = `set -e; d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; mkdir -p "$d/bin" "$d/etc" "$d/root" "$d/tmp"; chmod 1777 "$d/tmp"
    cp "$(command -v busybox)" "$d/bin/busybox"; for a in $("$d/bin/busybox" --list); do [ "$a" = busybox ] || ln -s busybox "$d/bin/$a"; done
    printf 'root:x:0:0:root:/root:/bin/sh\\nnobody:x:65534:65534::/:/bin/false\\n' > "$d/etc/passwd"
    printf 'root:x:0:\\nwheel:x:10:root\\nnogroup:x:65534:\\n' > "$d/etc/group"; tar -C "$d" -c . | base64 -w0`;
  const result = await run('sh', ['-c', script], {});
  if (result.code !== 0) throw new Error(`no busybox image could be made: ${result.stderr}`);
  return Buffer.from(result.stdout, 'base64');
}

function nextTick(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 5);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
