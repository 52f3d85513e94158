/** Body of `POST /containers/create` → the engine's spec, with the document kept for inspect. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerSpec, FrontDocument, HealthcheckConfig, Platform } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { CONFIG_FIELD_NAMES, type ContainerConfig, type CreateRequest } from './container-config.ts';
import { endpointsOf } from './endpoints.ts';
import type { HostConfigDocument, MountDocument } from './host-config.ts';
import { hostOptionsOf } from './host-options.ts';
import { withMacAddress, withSysctls } from './main-endpoint.ts';
import { anonymousVolumesOf } from './mounts.ts';
import { parseNetworkMode } from './namespaces.ts';
import { exposedPortsOf } from './ports.ts';
import { checkUnsupported } from './unsupported-options.ts';

/** A create request in the engine's words. */
export interface CreateOrder {
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument;
  readonly warnings: readonly string[];
}

const MIN_HEALTH_DURATION_NS = 1_000_000;

/** Translates and checks; InvalidArgumentError and NotImplementedError in Docker's words. */
export function createOrderOf(request: CreateRequest, version: ApiVersion, platform: Platform | null): CreateOrder {
  const { HostConfig: givenHost, NetworkingConfig: networking, ...rest } = request;
  const config: ContainerConfig = rest;
  if (!Object.keys(config).some((name) => CONFIG_FIELD_NAMES.has(name))) {
    throw new InvalidArgumentError('config cannot be empty in order to create a container');
  }
  const host = olderClients(givenHost ?? {}, version);
  const warnings = checkUnsupported(host);
  const mode = parseNetworkMode(host.NetworkMode ?? '');
  const given = { mode, version, endpoints: endpointsOf(networking ?? null, mode, version), warnings: [] };
  const joined = withSysctls(withMacAddress(given, config.MacAddress ?? ''), host.Sysctls ?? {});
  const spec: ContainerSpec = {
    ...processOf(config),
    image: config.Image ?? '',
    platform,
    labels: config.Labels ?? {},
    hostname: config.Hostname ?? '',
    domainname: config.Domainname ?? '',
    // It is the main endpoint's.
    macAddress: null,
    exposedPorts: exposedPortsOf(config),
    volumes: anonymousVolumesOf(config.Volumes ?? null),
    stopSignal: emptyToNull(config.StopSignal),
    stopTimeoutSeconds: config.StopTimeout ?? null,
    healthcheck: healthcheckOf(config),
    shell: config.Shell ?? null,
    networkDisabled: config.NetworkDisabled ?? false,
    consoleSize: consoleSizeOf(host),
    host: { ...hostOptionsOf(host, joined.networking.endpoints), sysctls: joined.sysctls },
  };
  return {
    spec,
    frontDocument: { Config: config, HostConfig: host, NetworkingConfig: networking ?? null },
    warnings: [...warnings, ...joined.networking.warnings],
  };
}

function processOf(
  config: ContainerConfig,
): Pick<
  ContainerSpec,
  'entrypoint' | 'command' | 'env' | 'user' | 'workingDirectory' | 'terminal' | 'openStdin' | 'stdinOnce'
> {
  return {
    entrypoint: config.Entrypoint ?? null,
    command: config.Cmd ?? null,
    env: config.Env ?? [],
    user: config.User ?? '',
    workingDirectory: config.WorkingDir ?? '',
    terminal: config.Tty ?? false,
    openStdin: config.OpenStdin ?? false,
    stdinOnce: config.StdinOnce ?? false,
  };
}

/** What fields meant in older versions (dockerd's `postContainersCreate`). */
function olderClients(host: HostConfigDocument, version: ApiVersion): HostConfigDocument {
  const adjusted: Record<string, unknown> = { ...host };
  if (version.before('1.40') && (host.IpcMode ?? '') === '') adjusted['IpcMode'] = 'shareable';
  if (version.before('1.41') && (host.CgroupnsMode ?? '') === '') adjusted['CgroupnsMode'] = 'host';
  if (version.before('1.42')) {
    delete adjusted['ConsoleSize'];
    // Older clients could not know these; what they send there is noise.
    adjusted['Mounts'] = host.Mounts?.map(({ BindOptions: bind, ...mount }) => ({
      ...mount,
      ...(bind === undefined || mount.Type !== 'bind'
        ? {}
        : { BindOptions: bind && { Propagation: bind.Propagation ?? '', NonRecursive: bind.NonRecursive ?? false } }),
    }));
    if (host.Mounts === undefined) delete adjusted['Mounts'];
  }
  // Unknown to older clients, as above.
  if (version.before('1.45') && Array.isArray(adjusted['Mounts'])) {
    adjusted['Mounts'] = (adjusted['Mounts'] as readonly MountDocument[]).map((mount) => olderMount(mount, version));
  }
  // The field went with 1.42; what stands there is no wish.
  if (version.atLeast('1.42')) delete adjusted['KernelMemory'];
  if (version.before('1.40')) delete adjusted['KernelMemoryTCP'];
  if (version.before('1.43')) delete adjusted['Annotations'];
  return adjusted;
}

function olderMount(mount: MountDocument, version: ApiVersion): MountDocument {
  const { BindOptions: bind, VolumeOptions: volume } = mount;
  const { ReadOnlyNonRecursive: _source, ReadOnlyForceRecursive: _all, ...olderBind } = bind ?? {};
  const { Subpath: _subpath, ...olderVolume } = volume ?? {};
  return {
    ...mount,
    ...(bind && version.before('1.44') ? { BindOptions: olderBind } : {}),
    ...(volume ? { VolumeOptions: olderVolume } : {}),
  };
}

function consoleSizeOf(host: HostConfigDocument): readonly [number, number] | null {
  const [height = 0, width = 0] = host.ConsoleSize ?? [];
  return height === 0 || width === 0 ? null : [height, width];
}

function healthcheckOf(config: ContainerConfig): HealthcheckConfig | null {
  const check = config.Healthcheck ?? null;
  if (check === null) return null;
  for (const name of ['Interval', 'Timeout', 'Retries', 'StartPeriod', 'StartInterval'] as const) {
    if (name === 'Retries') {
      if ((check.Retries ?? 0) < 0) throw new InvalidArgumentError('Retries in Healthcheck cannot be negative');
      continue;
    }
    const value = check[name] ?? 0;
    if (value !== 0 && value < MIN_HEALTH_DURATION_NS) {
      throw new InvalidArgumentError(`${name} in Healthcheck cannot be less than 1ms`);
    }
  }
  return check;
}

function emptyToNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
