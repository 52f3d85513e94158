/**
 * Fields of a create request that the engine's spec cannot express. Nothing is dropped silently: what would change how
 * the container runs is refused, what Docker on Linux ignores as well is answered by a warning.
 */
import { InvalidArgumentError, NotImplementedError } from '../../base/errors.ts';
import type { HostConfigDocument } from './host-config.ts';

/** Refuses what cannot be honoured (NotImplementedError, InvalidArgumentError); returns warnings for the rest. */
export function checkUnsupported(host: HostConfigDocument): readonly string[] {
  refuseValues(host);
  const lists = [
    ['Links', host.Links],
    ['BlkioWeightDevice', host.BlkioWeightDevice],
    ['BlkioDeviceReadBps', host.BlkioDeviceReadBps],
    ['BlkioDeviceWriteBps', host.BlkioDeviceWriteBps],
    ['BlkioDeviceReadIOps', host.BlkioDeviceReadIOps],
    ['BlkioDeviceWriteIOps', host.BlkioDeviceWriteIOps],
  ] as const;
  for (const [name, value] of lists) if ((value ?? []).length > 0) throw unsupported(name);
  if ((host.CpuRealtimePeriod ?? 0) !== 0) throw unsupported('CpuRealtimePeriod');
  if ((host.CpuRealtimeRuntime ?? 0) !== 0) throw unsupported('CpuRealtimeRuntime');
  return warningsOf(host);
}

function refuseValues(host: HostConfigDocument): void {
  const [request] = host.DeviceRequests ?? [];
  if (request !== undefined) {
    // dockerd's words when no driver (nvidia, cdi) is there for a request.
    const capabilities = `[${(request.Capabilities ?? []).map((words) => `[${(words ?? []).join(' ')}]`).join(' ')}]`;
    throw new NotImplementedError(
      `could not select device driver ${JSON.stringify(request.Driver ?? '')} with capabilities: ${capabilities}`,
    );
  }
  if (Object.keys(host.StorageOpt ?? {}).length > 0) {
    throw new NotImplementedError("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  if (!['', 'host'].includes(host.UsernsMode ?? '')) {
    throw new InvalidArgumentError(`invalid user namespace mode: ${host.UsernsMode ?? ''}`);
  }
  if (!['', 'default'].includes((host.Isolation ?? '').toLowerCase())) {
    throw new InvalidArgumentError(
      `invalid isolation: ${JSON.stringify(host.Isolation)} - linux only supports 'default'`,
    );
  }
  if ((host.Cgroup ?? '') !== '') throw unsupported('Cgroup');
}

function warningsOf(host: HostConfigDocument): readonly string[] {
  const ignored = [
    ['KernelMemory', host.KernelMemory],
    ['KernelMemoryTCP', host.KernelMemoryTCP],
    ['CpuCount', host.CpuCount],
    ['CpuPercent', host.CpuPercent],
    ['IOMaximumIOps', host.IOMaximumIOps],
    ['IOMaximumBandwidth', host.IOMaximumBandwidth],
  ] as const;
  return ignored
    .filter(([, value]) => (value ?? 0) !== 0)
    .map(([name]) => `${name} is not supported on Linux. Limitation discarded.`);
}

function unsupported(option: string): NotImplementedError {
  return new NotImplementedError(`option ${option} is not supported by this version of moored`);
}
