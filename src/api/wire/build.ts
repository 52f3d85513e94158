/** `POST /build`: its query and its fields in the engine's words. Which values dockerd takes: docs/api-coverage.md. */
import { InvalidArgumentError, messageOf, NotImplementedError } from '../../base/errors.ts';
import type { BuildRequest, ContextSource, StepLimits } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import type { Query } from '../query.ts';
import { registryAuthFor } from './auth.ts';
import { parseJson } from './body.ts';
import { buildSecretsOf, sshAgentsOf } from './build-secrets.ts';
import { decodeAs, map, pointer, slice, struct, text, type Shape } from './go-struct.ts';
import { ULIMIT } from './host-config.ts';
import { parseNetworkMode } from './namespaces.ts';
import { parsePlatform } from './platform.ts';

/** A request, or what stands for one where there is no HTTP. */
export interface BuildWords extends Pick<Context, 'query' | 'version' | 'experimental'> {
  readonly fields: { get(name: string): string | undefined };
  /** The context where the query names no address. */
  readonly source: ContextSource;
}

/** Reads the request; InvalidArgumentError in dockerd's words. */
export function buildRequestOf(words: BuildWords): BuildRequest {
  const { query, version, fields, experimental } = words;
  refuseBuildKit(words);
  const squash = query.boolean('squash');
  if (squash && !experimental) throw new InvalidArgumentError('squash is only supported with experimental mode');
  return {
    context: contextOf(words),
    dockerfile: query.textOrNull('dockerfile') ?? 'Dockerfile',
    tags: query.all('t'),
    target: query.text('target'),
    args: new Map(Object.entries(jsonParameter(query, 'buildargs', BUILD_ARGS, 'error reading build args') ?? {})),
    labels: new Map(Object.entries(jsonParameter(query, 'labels', LABELS, 'error reading labels') ?? {})),
    noCache: query.boolean('nocache'),
    cacheFrom: jsonParameter(query, 'cachefrom', CACHE_FROM, 'error reading cache-from') ?? [],
    pull: query.boolean('pull'),
    platform: version.before('1.32') ? null : parsePlatform(query.text('platform')),
    limits: limitsOf(query),
    ...removalOf(query),
    squash,
    secrets: buildSecretsOf(fields.get('x-moored-build-secrets')),
    sshAgents: sshAgentsOf(fields.get('x-moored-build-ssh')),
    buildId: query.text('buildid'),
    authFor: (reference) => registryAuthFor(reference, fields),
  };
}

const BUILD_ARGS = map(pointer(text), 'map[string]*string');
const LABELS = map(text);
const CACHE_FROM = slice(text);
const ULIMITS = slice(ULIMIT, '[]*container.Ulimit');
const OUTPUTS = slice(struct('build.ImageBuildOutput', { Type: text, Attrs: map(text) }), '[]build.ImageBuildOutput');

/** Parameters that promise what only BuildKit's session can do. */
function refuseBuildKit({ query, version }: BuildWords): void {
  const builder = query.text('version');
  if (!['', '1', '2'].includes(builder)) throw new InvalidArgumentError(`invalid version ${JSON.stringify(builder)}`);
  if (builder === '2' || query.text('remote') === 'client-session') {
    throw new NotImplementedError(
      'builds by a BuildKit session are not supported by this version of moored: set DOCKER_BUILDKIT=0',
    );
  }
  const isolation = query.text('isolation');
  if (!['', 'default'].includes(isolation.toLowerCase())) {
    throw new InvalidArgumentError(`unsupported isolation: ${JSON.stringify(isolation)}`);
  }
  if (version.before('1.40')) return;
  const outputs = jsonParameter(query, 'outputs', OUTPUTS, 'invalid outputs specified') ?? [];
  const other = outputs.find(({ Type = '', Attrs }) => !STORED.has(Type) || Object.keys(Attrs ?? {}).length > 0);
  if (other !== undefined) {
    throw new NotImplementedError('outputs other than an image are not supported by this version of moored');
  }
}

/** Outputs that mean: an image of this engine. */
const STORED: ReadonlySet<string> = new Set(['', 'image', 'docker', 'moby']);

function contextOf({ query, source }: BuildWords): ContextSource {
  const address = query.text('remote');
  return address === '' ? source : { kind: 'remote', address };
}

function removalOf(query: Query): Pick<BuildRequest, 'remove' | 'forceRemove'> {
  const forceRemove = query.boolean('forcerm');
  return { forceRemove, remove: forceRemove || query.text('rm') === '' || query.boolean('rm') };
}

function limitsOf(query: Query): StepLimits {
  const network = query.text('networkmode');
  const ulimits = jsonParameter(query, 'ulimits', ULIMITS, 'error reading ulimit settings') ?? [];
  return {
    resources: {
      memoryBytes: integerOrZero(query, 'memory'),
      memorySwapBytes: integerOrZero(query, 'memswap'),
      memoryReservationBytes: 0,
      memorySwappiness: null,
      oomKillDisable: false,
      nanoCpus: 0,
      cpuShares: integerOrZero(query, 'cpushares'),
      cpuPeriodUs: integerOrZero(query, 'cpuperiod'),
      cpuQuotaUs: integerOrZero(query, 'cpuquota'),
      cpusetCpus: query.text('cpusetcpus'),
      cpusetMems: query.text('cpusetmems'),
      pidsLimit: null,
      blkioWeight: 0,
    },
    ulimits: ulimits.map(({ Name = '', Soft = 0, Hard = 0 }) => ({ name: Name, soft: Soft, hard: Hard })),
    shmSizeBytes: shmSizeOf(query),
    cgroupParent: query.text('cgroupparent'),
    extraHosts: query.all('extrahosts'),
    securityOptions: entitlementsOf(query),
    network: ['', 'default'].includes(network) ? null : parseNetworkMode(network),
  };
}

/** dockerd takes no security option on Linux; BuildKit's `--allow` has no other place in a plain request. */
function entitlementsOf(query: Query): readonly string[] {
  const given = query.all('securityopt');
  if (given.some((option) => !ENTITLEMENTS.has(option))) {
    throw new InvalidArgumentError('security options are not supported on linux');
  }
  return given;
}

const ENTITLEMENTS: ReadonlySet<string> = new Set(['security.insecure', 'network.host']);

function shmSizeOf(query: Query): number | null {
  const size = query.integer('shmsize') ?? 0;
  if (size < 0) throw new InvalidArgumentError(`SHM size can not be less than 0`);
  return size === 0 ? null : size;
}

/** Docker's `Int64ValueOrZero`: what is no number is none. */
function integerOrZero(query: Query, name: string): number {
  const value = query.text(name);
  const number = /^[+-]?\d+$/.test(value) ? Number(value) : 0;
  return Number.isSafeInteger(number) ? number : 0;
}

/** A parameter that is JSON, `null` and absence included; the error says which it was. */
function jsonParameter<T>(query: Query, name: string, shape: Shape<T | null>, fault: string): T | null {
  const source = query.text(name);
  if (source === '') return null;
  try {
    return decodeAs(shape, parseJson(source));
  } catch (error) {
    throw new InvalidArgumentError(`${fault}: ${messageOf(error).replace(/^invalid JSON: /, '')}`, { cause: error });
  }
}
