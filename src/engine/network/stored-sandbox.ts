/** How a sandbox lies in the state file: as it is, but for ports by the thousand, which are written short (base/runs.ts). */
import { packRuns, unpackRuns, type Run } from '../../base/runs.ts';
import type { ContainerPort, EndpointState, PortBinding, PublishedPort, SandboxState } from './types.ts';

/** A {@link SandboxState} as JSON; what older versions wrote has no runs, and reads the same. */
export type StoredSandbox = Omit<SandboxState, 'endpoints' | 'publishing'> & {
  readonly endpoints: readonly (Omit<EndpointState, 'publishedPorts'> & {
    readonly publishedPorts: readonly (PublishedPort | Run<PublishedPort>)[];
  })[];
  readonly publishing?: {
    readonly portBindings: readonly (PortBinding | Run<PortBinding>)[];
    readonly publishAll: readonly ContainerPort[];
  };
};

export function storedSandbox(sandbox: SandboxState): StoredSandbox {
  const { publishing, endpoints, ...rest } = sandbox;
  return {
    ...rest,
    endpoints: endpoints.map((endpoint) => ({
      ...endpoint,
      publishedPorts: packRuns(endpoint.publishedPorts, shiftPort, equalPorts),
    })),
    ...(publishing === undefined
      ? {}
      : {
          publishing: {
            ...publishing,
            portBindings: packRuns(publishing.portBindings, shiftBinding, equalBindings),
          },
        }),
  };
}

export function readSandbox(stored: StoredSandbox): SandboxState {
  const { publishing, endpoints, ...rest } = stored;
  return {
    ...rest,
    endpoints: endpoints.map((endpoint) => ({
      ...endpoint,
      publishedPorts: unpackRuns(endpoint.publishedPorts, shiftPort),
    })),
    ...(publishing === undefined
      ? {}
      : { publishing: { ...publishing, portBindings: unpackRuns(publishing.portBindings, shiftBinding) } }),
  };
}

function shiftPort(port: PublishedPort, by: number): PublishedPort {
  return { ...port, container: shiftContainerPort(port.container, by), hostPort: port.hostPort + by };
}

export function shiftBinding(binding: PortBinding, by: number): PortBinding {
  const { container, hostPortStart, hostPortEnd } = binding;
  return {
    ...binding,
    container: shiftContainerPort(container, by),
    hostPortStart: hostPortStart + by,
    hostPortEnd: hostPortEnd + by,
  };
}

export function shiftContainerPort(container: ContainerPort, by: number): ContainerPort {
  return { ...container, port: container.port + by };
}

export function equalContainerPorts(a: ContainerPort, b: ContainerPort): boolean {
  return a.port === b.port && a.protocol === b.protocol;
}

function equalPorts(a: PublishedPort, b: PublishedPort): boolean {
  return (
    a.hostPort === b.hostPort &&
    equalContainerPorts(a.container, b.container) &&
    a.hostIp === b.hostIp &&
    a.endpointIpAddress === b.endpointIpAddress &&
    a.proxied === b.proxied
  );
}

export function equalBindings(a: PortBinding, b: PortBinding): boolean {
  return (
    equalContainerPorts(a.container, b.container) &&
    a.hostIp === b.hostIp &&
    a.hostPortStart === b.hostPortStart &&
    a.hostPortEnd === b.hostPortEnd
  );
}
