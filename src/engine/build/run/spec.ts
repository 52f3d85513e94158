import type { ContainerSpec, HostOptions, MountRequest } from '../../containers/spec-types.ts';
import type { NetworkMode } from '../../network/types.ts';
import type { RunRequest } from './types.ts';

const DEFAULT_NETWORK: NetworkMode = { kind: 'network', name: 'bridge' };

/** What never differs between the containers of two RUNs. */
const PLAIN_HOST = {
  volumesFrom: [],
  endpoints: {},
  portBindings: [],
  publishAllPorts: false,
  dns: [],
  dnsOptions: [],
  dnsSearch: [],
  restartPolicy: { name: 'no', maximumRetryCount: 0 },
  autoRemove: false,
  // What it says goes to the builder, and is told nowhere else.
  logDriver: 'none',
  logOptions: {},
  capabilitiesAdd: [],
  capabilitiesDrop: [],
  securityOptions: [],
  readonlyRootfs: false,
  maskedPaths: null,
  readonlyPaths: null,
  sysctls: {},
  tmpfs: {},
  devices: [],
  deviceCgroupRules: [],
  groupAdd: [],
  ipcMode: null,
  pidMode: { kind: 'private' },
  utsMode: { kind: 'private' },
  cgroupnsMode: null,
  runtime: null,
  // Its first process is the command itself, as in Docker's builders.
  init: false,
  oomScoreAdj: 0,
  annotations: {},
} as const satisfies Partial<HostOptions>;

/**
 * The container of a RUN. Nothing of the image's configuration is filled in but what is here, and labels: no volumes, so that what the
 * command writes below a VOLUME is part of the layer, as with BuildKit; no entrypoint; no health check.
 */
export function specOf(request: RunRequest, mounts: readonly MountRequest[]): ContainerSpec {
  const { config, limits, security } = request;
  return {
    image: request.image,
    platform: null,
    entrypoint: null,
    command: request.command,
    env: withExtra(config.Env ?? [], request.extraEnv),
    // Those of the image are filled in; none may ask for anything that only a request's may.
    labels: {},
    user: config.User ?? '',
    workingDirectory: config.WorkingDir ?? '',
    hostname: '',
    domainname: '',
    macAddress: null,
    terminal: false,
    openStdin: false,
    stdinOnce: false,
    exposedPorts: [],
    volumes: [],
    stopSignal: null,
    stopTimeoutSeconds: null,
    healthcheck: { Test: ['NONE'] },
    networkDisabled: false,
    consoleSize: null,
    host: {
      ...PLAIN_HOST,
      mounts,
      network: networkOf(request),
      extraHosts: limits.extraHosts,
      privileged: security === 'insecure',
      resources: limits.resources,
      ulimits: limits.ulimits,
      shmSizeBytes: limits.shmSizeBytes,
      cgroupParent: limits.cgroupParent,
    },
  };
}

function networkOf({ network, limits }: RunRequest): NetworkMode {
  return network === 'default' ? (limits.network ?? DEFAULT_NETWORK) : { kind: network };
}

/** Names that the configuration sets keep their values: ENV beats ARG. */
function withExtra(env: readonly string[], extra: readonly string[]): readonly string[] {
  const names = new Set(env.map(nameOf));
  return [...env, ...extra.filter((line) => !names.has(nameOf(line)))];
}

function nameOf(line: string): string {
  return line.split('=', 1)[0] ?? line;
}
