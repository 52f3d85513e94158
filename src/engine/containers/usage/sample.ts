import type { Clock } from '../../../base/clock.ts';
import type { UsageSource } from '../../runtime/usage.ts';
import type { Container } from '../container.ts';
import { isLive } from '../state.ts';
import type { ContainerUsage } from './types.ts';

/** A sample of now; null when nothing runs. */
export function usageOf(
  { usage, clock }: { readonly usage: UsageSource; readonly clock: Clock },
  container: Container,
): ContainerUsage | null {
  const { cgroupPath, state } = container.view();
  if (!isLive(state) || cgroupPath === null) return null;
  const resources = usage.resources(cgroupPath);
  if (resources === null) return null;
  return {
    readAt: clock.now(),
    resources,
    networks: usage.interfaces(state.pid),
    host: usage.host(),
    hostMemoryBytes: usage.memoryBytes,
  };
}
