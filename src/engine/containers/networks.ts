/** Which networks a container is on: what was asked for, and how it changes while it runs and while it does not. */
import { connectNetwork } from './networks/connect.ts';
import { disconnectNetwork } from './networks/disconnect.ts';
import type { Room } from './room.ts';
import type { Containers } from './types.ts';

export { findNetwork } from './networks/connect.ts';
export { sandboxRequestOf } from './networks/sandbox-request.ts';
export { joined, wishProblem } from './networks/wish-rules.ts';

/** The door's verbs. */
export function networkVerbs(room: Room): Pick<Containers, 'connectNetwork' | 'disconnectNetwork'> {
  return {
    connectNetwork: (ref, network, wish) => connectNetwork(room, { ref, network, wish }),
    disconnectNetwork: (ref, network, { force }) => disconnectNetwork(room, { ref, network, force }),
  };
}
