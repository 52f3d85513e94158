import { closeSync } from 'node:fs';
import { KernelError } from '../kernel/kernel.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Sandbox } from './driver.ts';
import type { SandboxOwner } from './types.ts';

/** Of `lo`, in every namespace. */
const LOOPBACK_INDEX = 1;

/** A sandbox with its descriptors open. Dispose to close them; the namespace stays. */
export interface OpenSandbox extends Sandbox, Disposable {}

/**
 * Makes a network namespace with its loopback link up, with both its addresses. Leaves nothing behind on failure. Whether
 * other links have IPv6 is for their drivers to say.
 */
export async function createSandbox(
  kernel: Kernel,
  netnsPath: string,
  owner: SandboxOwner | null = null,
): Promise<OpenSandbox> {
  await createFresh(kernel, netnsPath, owner);
  try {
    const sandbox = openSandbox(kernel, netnsPath);
    try {
      sandbox.inside.changeLink(LOOPBACK_INDEX, { up: true });
    } catch (error) {
      sandbox[Symbol.dispose]();
      throw error;
    }
    return sandbox;
  } catch (error) {
    removeAfterFailure(kernel, netnsPath, owner);
    throw error;
  }
}

/** A file that is there already is what a failed clean-up left of the same container's last run. */
async function createFresh(
  { namespaces, userNamespaces }: Kernel,
  netnsPath: string,
  owner: SandboxOwner | null,
): Promise<void> {
  const make = async (): Promise<void> => {
    if (owner === null) namespaces.createNetns(netnsPath);
    else if ('joined' in owner) await userNamespaces.createNetns(netnsPath, owner.joined);
    else userNamespaces.create(owner.mapping, owner.path, netnsPath);
  };
  try {
    await make();
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EEXIST') throw error;
    namespaces.removeNetns(netnsPath);
    if (owner !== null && 'path' in owner) userNamespaces.remove(owner.path);
    await make();
  }
}

/** Opens a namespace that is there. */
export function openSandbox(kernel: Kernel, netnsPath: string): OpenSandbox {
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

/** The first error is the one to tell; what is left behind is swept by the next `restore`. */
function removeAfterFailure(kernel: Kernel, netnsPath: string, owner: SandboxOwner | null): void {
  try {
    kernel.namespaces.removeNetns(netnsPath);
    if (owner !== null && 'path' in owner) kernel.userNamespaces.remove(owner.path);
  } catch {
    return;
  }
}
