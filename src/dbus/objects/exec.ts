import { NotFoundError } from '../../base/errors.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ExecView } from '../../engine/index.ts';
import { detailsOfContainer } from '../words/container-details.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import { done, type ExportedInterface, type MethodHandler } from '../bus/exported.ts';
import { execPath, interfaceName, pathOf } from '../names.ts';
import { serveAttachment } from './container/attach.ts';
import type { ContainerParts } from './container/parts.ts';

const OPEN_KEYS = { Rows: 'u', Columns: 'u' } as const;

/** Who waits for the end of one exec. */
interface Waiter {
  readonly resolve: (exitCode: number) => void;
  readonly reject: (error: Error) => void;
}

/** One exec as an object's interface. The mirror tells it of changes. */
export class ExecInterface implements ExportedInterface {
  readonly name = interfaceName('Exec');
  readonly #parts: ContainerParts;
  readonly #containerId: ContainerId;
  readonly #id: ExecId;
  readonly #waiters = new Set<Waiter>();

  constructor(parts: ContainerParts, containerId: ContainerId, id: ExecId) {
    this.#parts = parts;
    this.#containerId = containerId;
    this.#id = id;
  }

  get path(): string {
    return execPath(this.#containerId, this.#id);
  }

  get methods(): Readonly<Record<string, MethodHandler>> {
    const { containers } = this.#parts.engine;
    const id = this.#id;
    return {
      Open: async (_call, options: Dictionary) => this.#open(options),
      Start: async () => done(containers.startExecDetached(id)),
      Signal: async (_call, signal: string) => done(containers.signalExec(id, signal)),
      ResizeTTY: async (_call, rows: number, columns: number) =>
        done(containers.resizeExec(id, { height: rows, width: columns })),
      Wait: async (call) => [await this.#wait(call.signal)],
    };
  }

  properties(): Readonly<Record<string, unknown>> {
    const view = this.#view();
    return {
      Id: view.id,
      Container: pathOf('container', view.containerId),
      Running: view.running,
      Pid: view.running ? view.pid : 0,
      ExitCode: view.exitCode ?? 0,
      Tty: view.spec.terminal,
    };
  }

  polkitDetails(): Readonly<Record<string, string>> {
    const { spec } = this.#view();
    return { ...detailsOfContainer(this.#parts.engine.containers.get(this.#containerId)), ...detailsOfExec(spec) };
  }

  /** It shows something else than before: its end is told by a signal, after the properties. */
  changed(): void {
    const { exitCode } = this.#view();
    this.#parts.tree.changed(this.path);
    if (exitCode === null) return;
    this.#parts.tree.emit(this.path, this.name, 'Exited', [exitCode]);
    for (const { resolve } of [...this.#waiters]) resolve(exitCode);
  }

  /** Its record is gone, or its container. */
  removed(): void {
    for (const { reject } of [...this.#waiters]) reject(new NotFoundError(`No such exec instance: ${this.#id}`));
  }

  #view(): ExecView {
    return this.#parts.engine.containers.getExec(this.#id);
  }

  /** Starts it with the client's descriptor as its streams. */
  async #open(options: Dictionary): Promise<readonly unknown[]> {
    const { Rows: rows = 0, Columns: columns = 0 } = decodeDictionary(OPEN_KEYS, options);
    const { spec } = this.#view();
    const attachment = await this.#parts.engine.containers.startExec(this.#id, {
      terminal: spec.terminal,
      consoleSize: rows === 0 || columns === 0 ? null : [rows, columns],
    });
    return [serveAttachment(this.#parts.streams, attachment, { stdin: spec.attachStdin })];
  }

  async #wait(signal: AbortSignal): Promise<number> {
    const { exitCode } = this.#view();
    if (exitCode !== null) return exitCode;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiter: Waiter = { resolve, reject };
    const leave = (): void => reject(signal.reason as Error);
    this.#waiters.add(waiter);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener('abort', leave);
    }
  }
}

/** Longer commands are cut: a rule looks at what is run, not at its data. */
const MAX_COMMAND_LENGTH = 256;

/** `command`, `user`, `tty`, and `privileged` where the exec is. */
export function detailsOfExec(spec: {
  readonly command: readonly string[];
  readonly user: string;
  readonly terminal: boolean;
  readonly privileged: boolean;
}): Readonly<Record<string, string>> {
  return {
    command: spec.command.join(' ').slice(0, MAX_COMMAND_LENGTH),
    user: spec.user,
    tty: String(spec.terminal),
    ...(spec.privileged ? { privileged: 'true', 'privileged-by': 'exec' } : {}),
  };
}
