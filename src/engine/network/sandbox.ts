import { closeSync } from 'node:fs';
import { KernelError } from '../kernel/kernel.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Sandbox } from './driver.ts';
import type { Sysctls } from './sysctl.ts';

/** A sandbox with its descriptors open. Dispose to close them; the namespace stays. */
export interface OpenSandbox extends Sandbox, Disposable {}

/** Makes a network namespace with its loopback link up, IPv6 off. Leaves nothing behind on failure. */
export function createSandbox(kernel: Kernel, sysctls: Sysctls, netnsPath: string): OpenSandbox {
  createFresh(kernel, netnsPath);
  try {
    const sandbox = openSandbox(kernel, netnsPath);
    try {
      raiseLoopback(sandbox);
      // No network of ours has IPv6: without this every link would get a link-local address that leads nowhere.
      kernel.namespaces.within(sandbox.netns, () => disableIpv6(sysctls));
    } catch (error) {
      sandbox[Symbol.dispose]();
      throw error;
    }
    return sandbox;
  } catch (error) {
    removeAfterFailure(kernel, netnsPath);
    throw error;
  }
}

/** A file that is there already is what a failed clean-up left of the same container's last run. */
function createFresh({ namespaces }: Kernel, netnsPath: string): void {
  try {
    namespaces.createNetns(netnsPath);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EEXIST') throw error;
    namespaces.removeNetns(netnsPath);
    namespaces.createNetns(netnsPath);
  }
}

function openSandbox(kernel: Kernel, netnsPath: string): OpenSandbox {
  const netns = kernel.namespaces.openNetns(netnsPath);
  try {
    const inside = kernel.openRoute(netns);
    return {
      netnsPath,
      netns,
      inside,
      [Symbol.dispose]: () => {
        inside[Symbol.dispose]();
        closeSync(netns);
      },
    };
  } catch (error) {
    closeSync(netns);
    throw error;
  }
}

function raiseLoopback({ inside }: Sandbox): void {
  const loopback = inside.linkByName('lo');
  if (loopback === null) throw new KernelError('linkByName', 'ENODEV', 'lo');
  inside.changeLink(loopback.index, { up: true });
}

function disableIpv6(sysctls: Sysctls): void {
  try {
    sysctls.write('net/ipv6/conf/all/disable_ipv6', '1');
  } catch (error) {
    // A kernel without IPv6 has nothing to switch off.
    if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
  }
}

/** The first error is the one to tell; what is left behind is swept by the next `restore`. */
function removeAfterFailure(kernel: Kernel, netnsPath: string): void {
  try {
    kernel.namespaces.removeNetns(netnsPath);
  } catch {
    return;
  }
}
