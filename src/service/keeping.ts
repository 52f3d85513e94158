/** Sockets that systemd keeps for the engine while it is away (FileDescriptorStoreMax=, sd_pid_notify_with_fds(3)). */
import { closeSync } from 'node:fs';
import type { Fd } from '../engine/kernel/kernel.ts';
import type { KeptSocket, KeptSockets } from '../engine/network/kept-sockets.ts';
import type { InheritedSocket } from './activation.ts';
import type { Notifier } from './notify.ts';

/** What tells them from the sockets of docker.socket. */
const PREFIX = 'kept-';

/** Whether an inherited socket is one that was kept, and nobody's to listen on. */
export function isKept({ name }: InheritedSocket): boolean {
  return name.startsWith(PREFIX);
}

/** Kept by the service manager, if there is one. */
export class ManagerKeptSockets implements KeptSockets {
  readonly #notifier: Pick<Notifier, 'keep' | 'forget'>;
  #untaken: readonly KeptSocket[];

  constructor(inherited: readonly InheritedSocket[], notifier: Pick<Notifier, 'keep' | 'forget'>) {
    this.#notifier = notifier;
    this.#untaken = inherited.filter(isKept).map(({ name, fd }) => ({ name: name.slice(PREFIX.length), fd: fd as Fd }));
  }

  take(prefix: string): KeptSocket | null {
    const found = this.#untaken.find(({ name }) => name.startsWith(prefix)) ?? null;
    this.#untaken = this.#untaken.filter((one) => one !== found);
    return found;
  }

  keep(name: string, fd: Fd): void {
    this.#notifier.keep(`${PREFIX}${name}`, fd);
  }

  forget(name: string): void {
    this.#notifier.forget(`${PREFIX}${name}`);
  }

  forgetRest(): void {
    for (const { name, fd } of this.#untaken) {
      this.forget(name);
      closeSync(fd);
    }
    this.#untaken = [];
  }
}
