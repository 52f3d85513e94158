/** A machine that tests give shell lines to; see system-rig.ts and vm-rig.ts for two kinds. */
import { busyboxTar, type CommandResult } from './engine.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const POLL_MS = 50;

export interface LineOptions {
  /** Run it with this user's rights and groups instead of root's. */
  readonly user?: string;
  readonly stdin?: string | Buffer;
}

export abstract class Guest {
  /** How long {@link until} looks. */
  protected abstract readonly patienceMs: number;

  /** Runs a shell line in the guest, as root or as a user with that user's groups. */
  abstract run(line: string, options?: LineOptions): Promise<CommandResult>;

  /** Runs a shell line that must succeed; its stdout without the last newline. */
  async ok(line: string, options: LineOptions = {}): Promise<string> {
    const result = await this.run(line, options);
    if (result.code !== 0) {
      throw new Error(`${line}\nended with ${String(result.code)}: ${await this.#told(result)}`);
    }
    return result.stdout.replace(/\n$/, '');
  }

  /** Runs a shell line again and again until it succeeds. The stdout of that time. */
  async until(line: string, what: string): Promise<string> {
    const deadline = performance.now() + this.patienceMs;
    for (;;) {
      const result = await this.run(line);
      if (result.code === 0) return result.stdout.replace(/\n$/, '');
      if (performance.now() > deadline) {
        throw new Error(`waited in vain for: ${what}\n${await this.#told(result)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Writes a file into the guest's root. */
  async write(path: string, text: string): Promise<void> {
    await this.ok(`mkdir -p "$(dirname '${path}')" && cat > '${path}'`, { stdin: text });
  }

  /** Imports the small image `busybox:latest` through the docker CLI (and so starts the engine). */
  async importBusybox(): Promise<void> {
    await this.ok('docker import - busybox:latest', { stdin: await busyboxTar() });
  }

  async #told({ stdout, stderr }: CommandResult): Promise<string> {
    const journal = await this.run('journalctl --no-pager -o short -n 60');
    return `${stdout}${stderr}\njournal:\n${journal.stdout}`;
  }
}

/** What a guest is to run for a shell line: in an environment of its own, with the user's rights. */
export function commandOf(line: string, user: string | undefined): readonly string[] {
  const as =
    user === undefined ? [] : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', '--inh-caps=-all'];
  return ['env', '-i', `PATH=${PATH}`, 'HOME=/root', 'LANG=C.UTF-8', 'DOCKER_CLI_HINTS=false', ...as, 'sh', '-c', line];
}
