import type { Timestamp } from '../../../base/clock.ts';
import type { HostCpu, InterfaceCounters, ResourceUsage } from '../../runtime/usage.ts';

/** One sample. */
export interface ContainerUsage {
  readonly readAt: Timestamp;
  readonly resources: ResourceUsage;
  /** Interfaces of its own or its donor's network; none in the host's. */
  readonly networks: readonly InterfaceCounters[];
  /** Taken at the same moment, for shares of the machine. */
  readonly host: HostCpu;
  /** Memory of the machine: the limit where the container has none. */
  readonly hostMemoryBytes: bigint;
}

/** Two samples of one run. */
export interface UsagePair {
  readonly previous: ContainerUsage;
  readonly current: ContainerUsage;
}
