import type { ContainerView } from '../../../engine/index.ts';
import { variant, type MethodHandler, type Variant } from '../../bus/exported.ts';
import { pathOf } from '../../names.ts';
import { usecOfSeconds } from '../../bus/times.ts';
import type { Subject } from './parts.ts';
import { restartPolicyText } from './properties.ts';

/** What can be asked of a container beyond its properties. `onInspect` is told when somebody looked closely. */
export function factMethods(subject: Subject, onInspect: () => void): Readonly<Record<string, MethodHandler>> {
  const { parts, id } = subject;
  return {
    Inspect: async () => {
      const json = await parts.words.inspectContainer(id);
      onInspect();
      return [json];
    },
    GetConfig: () => [configOf(subject.view())],
    OpenRootDirectory: () => [parts.engine.containers.openRoot(id)],
  };
}

type Values = Readonly<Record<string, Variant>>;

/** What the container was made with, the image's defaults filled in; keys as `CreateContainer` takes them. */
function configOf(view: ContainerView): Values {
  const { spec } = view;
  const { host } = spec;
  return {
    Command: variant('as', spec.command ?? []),
    Entrypoint: variant('as', spec.entrypoint ?? []),
    Environment: variant('as', spec.env),
    User: variant('s', spec.user),
    WorkingDir: variant('s', spec.workingDirectory),
    Hostname: variant('s', spec.hostname),
    Tty: variant('b', spec.terminal),
    OpenStdin: variant('b', spec.openStdin),
    Labels: variant('a{ss}', spec.labels),
    Mounts: variant('aa{sv}', view.mounts.map(mountOf)),
    Ports: variant('aa{sv}', portsOf(view)),
    Networks: variant('a{sa{sv}}', Object.fromEntries(view.endpoints.map((one) => [one.networkName, endpointOf(one)]))),
    Resources: variant('a{sv}', resourcesOf(view)),
    RestartPolicy: variant('s', restartPolicyText(view)),
    StopSignal: variant('s', spec.stopSignal ?? ''),
    ...(spec.stopTimeoutSeconds === null || spec.stopTimeoutSeconds < 0
      ? {}
      : { StopTimeout: variant('t', usecOfSeconds(spec.stopTimeoutSeconds)) }),
    CapAdd: variant('as', host.capabilitiesAdd),
    CapDrop: variant('as', host.capabilitiesDrop),
    Privileged: variant('b', host.privileged),
    ReadOnlyRootfs: variant('b', host.readonlyRootfs),
    SecurityOpt: variant('as', host.securityOptions),
    AutoRemove: variant('b', host.autoRemove),
    Runtime: variant('s', view.runtime),
    LogDriver: variant('s', view.logDriver),
    LogOptions: variant('a{ss}', view.logOptions),
  };
}

function mountOf(mount: ContainerView['mounts'][number]): Values {
  return {
    Type: variant('s', mount.kind),
    Name: variant('s', mount.name ?? ''),
    Source: variant('s', mount.source),
    Destination: variant('s', mount.destination),
    Driver: variant('s', mount.driver ?? ''),
    Mode: variant('s', mount.mode),
    ReadOnly: variant('b', mount.readOnly),
    Propagation: variant('s', mount.propagation),
  };
}

/** Published ports, then those that are only exposed, which have no host's side. */
function portsOf({ spec, endpoints }: ContainerView): readonly Values[] {
  const published = endpoints.flatMap(({ publishedPorts }) => publishedPorts);
  const isPublished = (port: number, protocol: string): boolean =>
    published.some(({ container }) => container.port === port && container.protocol === protocol);
  const inside = ({ port, protocol }: { readonly port: number; readonly protocol: string }): Values => ({
    ContainerPort: variant('q', port),
    Protocol: variant('s', protocol),
  });
  return [
    ...published.map(({ container, hostIp, hostPort }) => ({
      ...inside(container),
      HostAddress: variant('s', hostIp),
      HostPort: variant('q', hostPort),
    })),
    ...spec.exposedPorts.filter(({ port, protocol }) => !isPublished(port, protocol)).map(inside),
  ];
}

function endpointOf(endpoint: ContainerView['endpoints'][number]): Values {
  return {
    Network: variant('o', pathOf('network', endpoint.networkId)),
    InterfaceName: variant('s', endpoint.interfaceName),
    MacAddress: variant('s', endpoint.macAddress),
    IPv4Address: variant('s', endpoint.ipv4Address ?? ''),
    IPv4PrefixLength: variant('u', endpoint.ipv4PrefixLength),
    IPv4Gateway: variant('s', endpoint.ipv4Gateway ?? ''),
    IPv6Address: variant('s', endpoint.ipv6Address ?? ''),
    IPv6PrefixLength: variant('u', endpoint.ipv6PrefixLength),
    IPv6Gateway: variant('s', endpoint.ipv6Gateway ?? ''),
  };
}

/** 0: no limit; -1 where the kernel's word for none is that. */
function resourcesOf({ spec }: ContainerView): Values {
  const { resources } = spec.host;
  return {
    Memory: variant('t', resources.memoryBytes),
    MemoryReservation: variant('t', resources.memoryReservationBytes),
    MemorySwap: variant('x', resources.memorySwapBytes),
    NanoCPUs: variant('t', resources.nanoCpus),
    CPUShares: variant('t', resources.cpuShares),
    CPUPeriod: variant('t', resources.cpuPeriodUs),
    CPUQuota: variant('x', resources.cpuQuotaUs),
    CPUSet: variant('s', resources.cpusetCpus),
    PidsLimit: variant('x', resources.pidsLimit ?? -1),
    BlkioWeight: variant('u', resources.blkioWeight),
  };
}
