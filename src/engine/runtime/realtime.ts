import { mkdirSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { CgroupHost } from './cgroups.ts';

/** Real-time share of a cgroup, in microseconds; 0: left as it is. */
export interface RealtimeShare {
  readonly periodUs: number;
  readonly runtimeUs: number;
}

/**
 * Gives the parent of all containers, and what lies above it, a real-time share: the kernel hands on only what the
 * cgroup above has. InvalidArgumentError in Docker's words where there is no such thing.
 */
export function grantRealtime(
  cgroups: CgroupHost,
  place: { readonly driver: 'cgroupfs' | 'systemd'; readonly parent: string },
  { periodUs, runtimeUs }: RealtimeShare,
): void {
  if (periodUs === 0 && runtimeUs === 0) return;
  const refuse = (where: string): never => {
    throw new InvalidArgumentError(`daemon-scoped cpu-rt-period and cpu-rt-runtime are not implemented for ${where}`);
  };
  if (cgroups.version === '2') refuse('cgroup v2');
  if (place.driver === 'systemd') refuse('systemd');
  const mountPoint = [...cgroups.mountPoints].find(([names]) => names.split(',').includes('cpu'))?.[1];
  if (mountPoint === undefined) throw new InvalidArgumentError('kernel does not support CPU real-time scheduler');
  let path = mountPoint;
  for (const name of place.parent.split('/').filter((word) => word !== '')) {
    path = `${path}/${name}`;
    mkdirSync(path, { recursive: true });
    write(`${path}/cpu.rt_period_us`, periodUs);
    write(`${path}/cpu.rt_runtime_us`, runtimeUs);
  }
}

function write(path: string, valueUs: number): void {
  if (valueUs === 0) return;
  try {
    writeFileSync(path, String(valueUs));
  } catch (error) {
    throw new InvalidArgumentError(`write ${path}: ${messageOf(error)}`, { cause: error });
  }
}
