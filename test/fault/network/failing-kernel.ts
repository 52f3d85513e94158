import { KernelError } from '../../../src/engine/kernel/kernel.ts';
import type { Kernel, RouteSocket } from '../../../src/engine/kernel/kernel.ts';
import type { Sysctls } from '../../../src/engine/network/sysctl.ts';

/** Counts calls and lets one of them fail. */
export class FaultPlan {
  #calls = 0;
  #failAt = Infinity;
  /** The call that was made to fail, or null. */
  failed: string | null = null;

  /** From now on the n-th call (1, 2 …) fails. */
  failCall(n: number): void {
    this.#calls = 0;
    this.#failAt = n;
    this.failed = null;
  }

  /** Lets everything succeed again. */
  stop(): void {
    this.#failAt = Infinity;
  }

  /** Throws when it is this call's turn. */
  pass(call: string): void {
    this.#calls += 1;
    if (this.#calls !== this.#failAt) return;
    this.failed = call;
    throw new KernelError(call, 'EIO', null, 'planned fault');
  }
}

/** `target` with every method asking the plan first. Calls that only give something back (dispose) are never failed. */
function watched<T extends object>(target: T, prefix: string, plan: FaultPlan): T {
  return new Proxy(target, {
    get: (object, key): unknown => {
      const value: unknown = Reflect.get(object, key);
      if (typeof value !== 'function') return value;
      const method = value as (...args: unknown[]) => unknown;
      return (...args: readonly unknown[]) => {
        if (typeof key === 'string') plan.pass(`${prefix}.${key}`);
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
    seccomp: kernel.seccomp,
    namespaces: watched(kernel.namespaces, 'namespaces', plan),
    nft: watched(kernel.nft, 'nft', plan),
    openRoute: (netns): RouteSocket => {
      plan.pass('openRoute');
      return watched(kernel.openRoute(netns), 'route', plan);
    },
  };
}

export function failingSysctls(sysctls: Sysctls, plan: FaultPlan): Sysctls {
  return watched(sysctls, 'sysctls', plan);
}
