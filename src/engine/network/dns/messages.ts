/** What the engine and the name service's thread say to one another. Descriptors are the whole process's, and the engine's. */
import type { ContainerId } from '../../../base/ids.ts';
import type { Fd } from '../../kernel/kernel.ts';
import type { NamedEndpoint, NameView, NetworkNames } from '../name-service.ts';

/** What a sandbox's server works with; the engine closes them when the thread has let go. */
export interface ServerSockets {
  readonly udp: Fd;
  readonly tcp: Fd;
  /** For sockets that ask others from where the container is. */
  readonly netns: Fd;
}

/** A network's endpoints as they are from now on; null: nobody asks about the network any more. */
export type ListChange = readonly [networkName: string, endpoints: readonly NamedEndpoint[] | null];

/** A view whose networks' endpoints are told on their own, once for all views. */
export interface ToldView extends Omit<NameView, 'networks'> {
  readonly networks: readonly Omit<NetworkNames, 'endpoints'>[];
}

/** To the thread. `lists` are what views refer to, these and later ones. */
export type ServerOrder =
  /** `serial` is one server's own, never used again. */
  | {
      readonly kind: 'serve';
      readonly serial: number;
      readonly containerId: ContainerId;
      readonly sockets: ServerSockets;
      readonly view: ToldView;
      readonly lists: readonly ListChange[];
    }
  | {
      readonly kind: 'views';
      readonly views: readonly (readonly [serial: number, view: ToldView])[];
      readonly lists: readonly ListChange[];
    }
  | { readonly kind: 'stop'; readonly serial: number; readonly lists: readonly ListChange[] }
  | { readonly kind: 'end' };

/** From the thread. */
export type ServerReport =
  /** It uses the server's descriptors no more. */
  | { readonly kind: 'stopped'; readonly serial: number }
  /** A line for the log. */
  | { readonly kind: 'warning'; readonly text: string };

/** What the thread is started with. */
export interface ServerThreadData {
  readonly resolvConfPath: string;
  /** Below it the host's resolver knows all containers: nobody inside one is told what lies there. */
  readonly hostDomain?: string;
}
