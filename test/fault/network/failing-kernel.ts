import { KernelError } from '../../../src/engine/kernel/kernel.ts';
import type { Kernel, RouteSocket } from '../../../src/engine/kernel/kernel.ts';
import type { Database } from '../../../src/engine/state/database.ts';
import type { Sysctls } from '../../../src/engine/network/sysctl.ts';

/** Counts calls and lets one of them fail. */
export class FaultPlan {
  #calls = 0;
  #failAt = Infinity;
  #isFinal = false;
  /** The call that was made to fail, or null. */
  failed: string | null = null;

  /** From now on the n-th call (1, 2 …) fails. */
  failCall(n: number): void {
    this.#calls = 0;
    this.#failAt = n;
    this.failed = null;
  }

  /** The n-th call fails and all that come after it: what a kill before the n-th call leaves is what is left now. */
  crashAt(n: number): void {
    this.failCall(n);
    this.#isFinal = true;
  }

  /** Lets everything succeed again. */
  stop(): void {
    this.#failAt = Infinity;
    this.#isFinal = false;
  }

  /** A step that is no call of the kernel's: it counts, and fails, only where a kill is played. */
  passStep(step: string): void {
    if (this.#isFinal) this.pass(step);
  }

  /** Throws when it is this call's turn. */
  pass(call: string): void {
    this.#calls += 1;
    if (this.#isFinal ? this.#calls < this.#failAt : this.#calls !== this.#failAt) return;
    this.failed ??= call;
    throw new KernelError(call, 'EIO', null, 'planned fault');
  }
}

/** Calls that only give something back, and cannot fail. */
const HARMLESS: ReadonlySet<string | symbol> = new Set(['close']);

/** `target` with every method asking the plan first. Calls that only give something back (dispose) are never failed. */
function watched<T extends object>(target: T, prefix: string, plan: FaultPlan): T {
  return new Proxy(target, {
    get: (object, key): unknown => {
      const value: unknown = Reflect.get(object, key);
      if (typeof value !== 'function' || HARMLESS.has(key)) return value;
      const method = value as (...args: unknown[]) => unknown;
      return (...args: readonly unknown[]) => {
        if (typeof key === 'string') plan.pass(`${prefix}.${key}`);
        return method.apply(object, [...args]);
      };
    },
  });
}

/** A state file that is not written any more once its process has been killed. */
export function mortalDatabase(database: Database, plan: FaultPlan): Database {
  return new Proxy(database, {
    get: (object, key): unknown => {
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== 'function') return value;
      const method = value as (...args: unknown[]) => unknown;
      return (...args: readonly unknown[]) => {
        if (typeof key === 'string') plan.passStep(`database.${key}`);
        return method.apply(object, [...args]);
      };
    },
  });
}

/** The network side of a kernel whose calls fail by plan. */
export function failingKernel(kernel: Kernel, plan: FaultPlan): Kernel {
  return {
    mounts: kernel.mounts,
    processes: kernel.processes,
    sockets: kernel.sockets,
    internet: watched(kernel.internet, 'internet', plan),
    seccomp: kernel.seccomp,
    namespaces: watched(kernel.namespaces, 'namespaces', plan),
    userNamespaces: watched(kernel.userNamespaces, 'userNamespaces', plan),
    nft: watched(kernel.nft, 'nft', plan),
    flows: kernel.flows,
    watchLinks: (listener) => kernel.watchLinks(listener),
    openRoute: (netns): RouteSocket => {
      plan.pass('openRoute');
      return watched(kernel.openRoute(netns), 'route', plan);
    },
  };
}

export function failingSysctls(sysctls: Sysctls, plan: FaultPlan): Sysctls {
  return watched(sysctls, 'sysctls', plan);
}
