import type { Clock } from '../../../base/clock.ts';
import { ConflictError, errnoCodeOf } from '../../../base/errors.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { AttachSession } from '../monitor.ts';
import { AttachHub } from './attach.ts';
import type { TaskNature } from './run-directory.ts';

/** Where a process can be attached to: connects when the first session comes, and again after the last has gone. */
export class AttachPoint {
  readonly #kernel: Pick<Kernel, 'sockets'>;
  readonly #clock: Clock;
  readonly #socketPath: string;
  readonly #nature: TaskNature;
  #hub: Promise<AttachHub> | null = null;

  constructor(kernel: Pick<Kernel, 'sockets'>, clock: Clock, bundlePath: string, nature: TaskNature) {
    this.#kernel = kernel;
    this.#clock = clock;
    this.#socketPath = `${bundlePath}/attach`;
    this.#nature = nature;
  }

  /** ConflictError when the process has ended. */
  async attach(): Promise<AttachSession> {
    const hub = (this.#hub ??= this.#connect());
    try {
      return (await hub).join();
    } catch (error) {
      if (this.#hub === hub) this.#hub = null;
      if (isAbsence(error)) throw new ConflictError('the process has ended', { cause: error });
      throw error;
    }
  }

  #connect(): Promise<AttachHub> {
    const { stdin, keepStdinOpen, terminal } = this.#nature;
    const nature = { stdin, closable: stdin && !keepStdinOpen && !terminal };
    const onClosing = (): void => {
      this.#hub = null;
    };
    return this.#kernel.sockets
      .connectSeqpacket(this.#socketPath)
      .then((socket) => new AttachHub(socket, nature, { clock: this.#clock, onClosing }));
  }
}

function isAbsence(error: unknown): boolean {
  const code = errnoCodeOf(error);
  return code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET';
}
