import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerPort, PortBinding, PortProtocol } from '../../engine/index.ts';
import type { ContainerConfig } from './container-config.ts';
import type { HostConfigDocument } from './host-config.ts';

const MAX_PORT = 65_535;
const PROTOCOLS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp']);

/** `80/tcp`. */
export function portText({ port, protocol }: ContainerPort): string {
  return `${String(port)}/${protocol}`;
}

/** `80`, `80/udp`, `8000-8010/tcp` → single ports. InvalidArgumentError in Docker's words. */
export function parseContainerPorts(text: string): readonly ContainerPort[] {
  const [range = '', given = 'tcp'] = text.split('/', 2);
  const protocol = (given === '' ? 'tcp' : given).toLowerCase();
  if (!PROTOCOLS.has(protocol)) throw new InvalidArgumentError(`invalid proto: ${given}`);
  const { first, last } = parseRange(range);
  if (first === 0) throw invalidPort(range);
  return Array.from({ length: last - first + 1 }, (_, i) => ({ port: first + i, protocol: protocol as PortProtocol }));
}

/** Config's `ExposedPorts`. */
export function exposedPortsOf(config: ContainerConfig): readonly ContainerPort[] {
  return Object.keys(config.ExposedPorts ?? {}).flatMap(parseContainerPorts);
}

/**
 * HostConfig's `PortBindings`; an empty list of bindings (`"80/tcp":[]`) publishes nothing, as with Docker. A key is a single
 * port: clients take ranges apart. A host port may be a range, of which one is chosen, and may end with a protocol.
 */
export function portBindingsOf(host: HostConfigDocument): readonly PortBinding[] {
  return Object.entries(host.PortBindings ?? {}).flatMap(([key, bindings]) => {
    const [container, another] = parseContainerPorts(key);
    if (container === undefined || another !== undefined) throw invalidPort(key.split('/', 1)[0] ?? '');
    return (bindings ?? []).map(({ HostIp: hostIp = '', HostPort: hostPort = '' }) => {
      const { first, last } = hostPort === '' ? { first: 0, last: 0 } : parseRange(hostPort.split('/', 1)[0] ?? '');
      return { container, hostIp, hostPortStart: first, hostPortEnd: last };
    });
  });
}

function parseRange(text: string): { readonly first: number; readonly last: number } {
  const [, start, end = start] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const first = Number(start);
  const last = Number(end);
  if (start === undefined || last > MAX_PORT || last < first) throw invalidPort(text);
  return { first, last };
}

function invalidPort(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid port specification: ${JSON.stringify(text)}`);
}
