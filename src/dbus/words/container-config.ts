/**
 * The typed configuration of `CreateContainer` and `RunContainer`. It is put into the words of `POST /containers/create`
 * and goes the way of such a body from there: one place checks, and inspect shows the container as any other.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonObject } from '../../base/json.ts';
import { decodeDictionary, integerOf, type Dictionary, type Given } from '../bus/dictionary.ts';
import { secondsOf } from '../bus/times.ts';

/** The keys, as in the interface's description. */
const KEYS = {
  Command: 'as',
  Entrypoint: 'as',
  Environment: 'as',
  User: 's',
  WorkingDir: 's',
  Hostname: 's',
  Tty: 'b',
  OpenStdin: 'b',
  Labels: 'a{ss}',
  /** Name of a secret and how the container is to have it: "target=…,uid=…,gid=…,mode=…", or ''. */
  Secrets: 'a{ss}',
  /** Host address, host port (0: any free one), container port, protocol. */
  Ports: 'a(sqqs)',
  /** Source (a path, or a volume's name; '' for a volume without one), target, read-only. */
  Binds: 'a(ssb)',
  VolumesFrom: 'as',
  Tmpfs: 'a{ss}',
  Networks: 'as',
  Aliases: 'as',
  Dns: 'as',
  ExtraHosts: 'as',
  Memory: 't',
  CPUQuota: 'x',
  CPUSet: 's',
  PidsLimit: 'x',
  RestartPolicy: 's',
  StopSignal: 's',
  StopTimeout: 't',
  CapAdd: 'as',
  CapDrop: 'as',
  /** Path on the host, path in the container, letters of `rwm`. */
  Devices: 'a(sss)',
  Privileged: 'b',
  ReadOnlyRootfs: 'b',
  SecurityOpt: 'as',
  Sysctls: 'a{ss}',
  /** Name, soft limit, hard limit. */
  Ulimits: 'a(sxx)',
  LogDriver: 's',
  LogOptions: 'a{ss}',
  Healthcheck: 'a{sv}',
  AutoRemove: 'b',
  Init: 'b',
  Platform: 's',
  Pull: 's',
  Wait: 'b',
} as const;

const HEALTHCHECK_KEYS = {
  Test: 'as',
  Interval: 't',
  Timeout: 't',
  StartPeriod: 't',
  StartInterval: 't',
  Retries: 'u',
} as const;

type Config = Given<typeof KEYS>;

const PULL_POLICIES = ['missing', 'always', 'never'] as const;
const NS_PER_USEC = 1000n;

/** What a typed configuration asks for. */
export interface ContainerWish {
  /** Body of `POST /containers/create`. */
  readonly document: JsonObject;
  /** '' for none. */
  readonly platform: string;
  /** When `RunContainer` pulls. */
  readonly pull: (typeof PULL_POLICIES)[number];
  /** `RunContainer`'s job ends with the container. */
  readonly wait: boolean;
}

/** InvalidArgumentError names a key that is not known or has another type, and what a value cannot be. */
export function decodeContainerConfig(image: string, dictionary: Dictionary): ContainerWish {
  const config = decodeDictionary(KEYS, dictionary);
  const pull = PULL_POLICIES.find((known) => known === (config.Pull ?? 'missing'));
  if (pull === undefined) throw wrong('Pull', `must be one of ${PULL_POLICIES.join(', ')}`);
  return {
    document: definedOf({ ...processOf(image, config), HostConfig: hostOf(config), ...networkingOf(config) }),
    platform: config.Platform ?? '',
    pull,
    wait: config.Wait ?? false,
  };
}

function processOf(image: string, config: Config): JsonObject {
  return {
    Image: image,
    Cmd: config.Command,
    Entrypoint: config.Entrypoint,
    Env: config.Environment,
    User: config.User,
    WorkingDir: config.WorkingDir,
    Hostname: config.Hostname,
    Tty: config.Tty,
    OpenStdin: config.OpenStdin,
    Labels: config.Secrets === undefined ? config.Labels : { ...config.Labels, ...labelsOf(config.Secrets) },
    ExposedPorts: config.Ports && Object.fromEntries(config.Ports.map((port) => [portKey(port), {}])),
    StopSignal: config.StopSignal,
    StopTimeout: config.StopTimeout === undefined ? undefined : integerOf('StopTimeout', secondsOf(config.StopTimeout)),
    Healthcheck: config.Healthcheck && healthcheckOf(config.Healthcheck),
  };
}

/** The engine reads wishes for secrets from labels, whichever way they come. */
function labelsOf(secrets: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(secrets).map(([name, how]) => [`org.moored.secret.${name}`, how]));
}

function hostOf(config: Config): JsonObject {
  return definedOf({
    NetworkMode: config.Networks?.[0],
    PortBindings: config.Ports && portBindingsOf(config.Ports),
    Mounts: config.Binds?.map(mountOf),
    VolumesFrom: config.VolumesFrom,
    Tmpfs: config.Tmpfs,
    Dns: config.Dns,
    ExtraHosts: config.ExtraHosts,
    Memory: config.Memory === undefined ? undefined : integerOf('Memory', config.Memory),
    CpuQuota: config.CPUQuota === undefined ? undefined : integerOf('CPUQuota', config.CPUQuota),
    CpusetCpus: config.CPUSet,
    PidsLimit: config.PidsLimit === undefined ? undefined : integerOf('PidsLimit', config.PidsLimit),
    RestartPolicy: config.RestartPolicy === undefined ? undefined : restartPolicyOf(config.RestartPolicy),
    CapAdd: config.CapAdd,
    CapDrop: config.CapDrop,
    Devices: config.Devices?.map(([host, container, permissions]) => ({
      PathOnHost: host,
      PathInContainer: container,
      CgroupPermissions: permissions,
    })),
    Privileged: config.Privileged,
    ReadonlyRootfs: config.ReadOnlyRootfs,
    SecurityOpt: config.SecurityOpt,
    Sysctls: config.Sysctls,
    Ulimits: config.Ulimits?.map(([name, soft, hard]) => ({
      Name: name,
      Soft: integerOf('Ulimits', soft),
      Hard: integerOf('Ulimits', hard),
    })),
    LogConfig:
      config.LogDriver === undefined && config.LogOptions === undefined
        ? undefined
        : { Type: config.LogDriver ?? '', Config: config.LogOptions ?? {} },
    AutoRemove: config.AutoRemove,
    Init: config.Init,
  });
}

/** `default` is Docker's word for the network of the mode. */
function networkingOf({ Networks: networks, Aliases: aliases }: Config): JsonObject {
  const [first = 'default', ...others] = networks ?? [];
  if (aliases === undefined && others.length === 0) return {};
  const endpoints = { [first]: { Aliases: aliases ?? [] }, ...Object.fromEntries(others.map((name) => [name, {}])) };
  return { NetworkingConfig: { EndpointsConfig: endpoints } };
}

type Port = NonNullable<Config['Ports']>[number];

function portKey([, , port, protocol]: Port): string {
  if (port === 0) throw wrong('Ports', 'a container port cannot be 0');
  return `${String(port)}/${protocol === '' ? 'tcp' : protocol}`;
}

function portBindingsOf(ports: readonly Port[]): JsonObject {
  const bindings: Record<string, { readonly HostIp: string; readonly HostPort: string }[]> = {};
  for (const port of ports) {
    const [hostIp, hostPort] = port;
    (bindings[portKey(port)] ??= []).push({ HostIp: hostIp, HostPort: hostPort === 0 ? '' : String(hostPort) });
  }
  return bindings;
}

/** Like `-v`: a missing directory of the host is made. */
function mountOf([source, target, readOnly]: NonNullable<Config['Binds']>[number]): JsonObject {
  const common = { Source: source, Target: target, ReadOnly: readOnly };
  return source.startsWith('/')
    ? { Type: 'bind', ...common, BindOptions: { CreateMountpoint: true } }
    : { Type: 'volume', ...common };
}

/** `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:5`. */
function restartPolicyOf(text: string): JsonObject {
  const [name = '', count, ...rest] = text.split(':');
  if (rest.length > 0 || (count !== undefined && !/^\d{1,9}$/.test(count))) {
    throw wrong('RestartPolicy', `cannot be ${JSON.stringify(text)}`);
  }
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}

function healthcheckOf(dictionary: Dictionary): JsonObject {
  const check = inKey('Healthcheck', () => decodeDictionary(HEALTHCHECK_KEYS, dictionary));
  const nanoseconds = (name: keyof typeof check, usec: bigint | undefined): number | undefined =>
    usec === undefined ? undefined : integerOf(`Healthcheck.${name}`, usec * NS_PER_USEC);
  return definedOf({
    Test: check.Test,
    Interval: nanoseconds('Interval', check.Interval),
    Timeout: nanoseconds('Timeout', check.Timeout),
    StartPeriod: nanoseconds('StartPeriod', check.StartPeriod),
    StartInterval: nanoseconds('StartInterval', check.StartInterval),
    Retries: check.Retries,
  });
}

function inKey<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw wrong(name, error.message);
    throw error;
  }
}

function wrong(name: string, problem: string): InvalidArgumentError {
  return new InvalidArgumentError(`key ${JSON.stringify(name)}: ${problem}`);
}

function definedOf(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
