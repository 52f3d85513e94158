/**
 * Linux, as the engine's {@link Kernel}: the only room with foreign function calls. It turns each call's errno into one
 * typed error and knows nothing of containers. It may call the C library, libnftables and libseccomp, nothing of ours but
 * base and the specifications' types.
 */
import type { Fd, Kernel, RouteSocket } from '../kernel.ts';
import { createFlowCalls } from './flows.ts';
import { createInternetCalls } from './internet-sockets.ts';
import { createMountCalls } from './mounts.ts';
import { createNamespaceCalls, within } from './namespaces.ts';
import { createNftCalls } from './nft.ts';
import { watchLinks } from './netlink-watch.ts';
import { createProcessCalls } from './processes.ts';
import { LinuxRouteSocket } from './route.ts';
import { createSeccompCalls } from './seccomp.ts';
import { createSocketCalls } from './sockets.ts';
import { createUserNamespaceCalls } from './user-namespaces.ts';

/** The kernel this process runs on. libnftables and libseccomp are loaded when first used. */
export function createLinuxKernel(): Kernel {
  return {
    mounts: createMountCalls(),
    processes: createProcessCalls(),
    sockets: createSocketCalls(),
    internet: createInternetCalls(),
    namespaces: createNamespaceCalls(),
    userNamespaces: createUserNamespaceCalls(),
    nft: createNftCalls(),
    flows: createFlowCalls(),
    seccomp: createSeccompCalls(),
    watchLinks,
    openRoute(netns: Fd | null): RouteSocket {
      return netns === null ? new LinuxRouteSocket() : within(netns, () => new LinuxRouteSocket());
    },
  };
}
