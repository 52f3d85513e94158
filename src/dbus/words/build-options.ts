/**
 * Options of `BuildImage` and `BuildImageFromPath`. They are put into the words of `POST /build` and go the way of such a
 * request from there: one place checks.
 */
import { isAbsolute } from 'node:path';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { BuildRequest, ContextSource, RegistryAuth } from '../../engine/index.ts';
import { decodeDictionary, integerOf, type Dictionary, type Given } from '../bus/dictionary.ts';
import { registryAuthOf } from './registry-auth.ts';
import type { RestWords } from './rest-words.ts';

/** The keys, as in the interface's description. */
const KEYS = {
  Dockerfile: 's',
  Tags: 'as',
  Args: 'a{ss}',
  Labels: 'a{ss}',
  Target: 's',
  NoCache: 'b',
  Pull: 'b',
  CacheFrom: 'as',
  Platform: 's',
  /** Images of the registries of these names: credentials, as `Auth` of `PullImage`. */
  Auth: 'a{sv}',
  /** Of what RUN starts. */
  Memory: 't',
  MemorySwap: 'x',
  CPUShares: 'x',
  CPUQuota: 'x',
  CPUPeriod: 'x',
  CPUSet: 's',
  ShmSize: 't',
  Ulimits: 'a(sxx)',
  CgroupParent: 's',
  Network: 's',
  ExtraHosts: 'as',
  /** `security.insecure`, `network.host`. */
  Entitlements: 'as',
  KeepContainers: 'b',
  /** For `RUN --mount=type=secret`: text by id. */
  Secrets: 'a{ss}',
  /** For `RUN --mount=type=secret`: names of the engine's own that may be mounted. */
  EngineSecrets: 'as',
  /** For `RUN --mount=type=ssh`: path of an agent's socket by id. */
  SSH: 'a{ss}',
} as const;

type Options = Given<typeof KEYS>;

/** InvalidArgumentError names a key that is not known or has another type, and what a value cannot be. */
export function buildRequestOf(words: RestWords, source: ContextSource, dictionary: Dictionary): BuildRequest {
  const options = decodeDictionary(KEYS, dictionary);
  const auths = authsOf(options.Auth ?? {});
  const agents = Object.entries(options.SSH ?? {});
  if (!agents.every(([, path]) => isAbsolute(path))) throw new InvalidArgumentError('SSH: a path is not absolute');
  return {
    ...words.buildOrder(queryOf(options).toString(), source),
    secrets: new Map<string, Buffer | null>([
      ...(options.EngineSecrets ?? []).map((name) => [name, null] as const),
      ...Object.entries(options.Secrets ?? {}).map(([id, text]) => [id, Buffer.from(text)] as const),
    ]),
    sshAgents: new Map(agents),
    authFor: (reference) => auths.get(registryOf(reference)) ?? null,
  };
}

function queryOf(options: Options): URLSearchParams {
  const query = new URLSearchParams();
  const put = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) query.append(name, String(value));
  };
  const putAll = (name: string, values: readonly string[] = []): void => values.forEach((value) => put(name, value));
  const putJson = (name: string, value: unknown): void => {
    if (value !== undefined) query.append(name, JSON.stringify(value));
  };
  const putInteger = (name: string, key: string, value: bigint | undefined): void => {
    if (value !== undefined) put(name, integerOf(key, value));
  };
  put('dockerfile', options.Dockerfile);
  putAll('t', options.Tags);
  putJson('buildargs', options.Args);
  putJson('labels', options.Labels);
  put('target', options.Target);
  if (options.NoCache === true) put('nocache', 1);
  if (options.Pull === true) put('pull', 1);
  if (options.KeepContainers === true) put('rm', 0);
  else put('forcerm', 1);
  putJson('cachefrom', options.CacheFrom);
  put('platform', options.Platform);
  putInteger('memory', 'Memory', options.Memory);
  putInteger('memswap', 'MemorySwap', options.MemorySwap);
  putInteger('cpushares', 'CPUShares', options.CPUShares);
  putInteger('cpuquota', 'CPUQuota', options.CPUQuota);
  putInteger('cpuperiod', 'CPUPeriod', options.CPUPeriod);
  put('cpusetcpus', options.CPUSet);
  putInteger('shmsize', 'ShmSize', options.ShmSize);
  putJson('ulimits', options.Ulimits?.map(ulimitOf));
  put('cgroupparent', options.CgroupParent);
  put('networkmode', options.Network);
  putAll('extrahosts', options.ExtraHosts);
  putAll('securityopt', options.Entitlements);
  return query;
}

function ulimitOf([name, soft, hard]: readonly [string, bigint, bigint]): object {
  return { Name: name, Soft: integerOf('Ulimits', soft), Hard: integerOf('Ulimits', hard) };
}

function authsOf(given: Dictionary): ReadonlyMap<string, RegistryAuth> {
  const names = Object.keys(given);
  const decoded = decodeDictionary(Object.fromEntries(names.map((name) => [name, 'a{ss}' as const])), given);
  return new Map(
    names.flatMap((name) => {
      if (name.includes('/')) throw new InvalidArgumentError(`Auth: ${JSON.stringify(name)} is no registry's name`);
      const auth = registryAuthOf(decoded[name] ?? {});
      return auth === null ? [] : [[name, auth] as const];
    }),
  );
}

/** Docker's rule for which part of a reference names a registry. */
function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : 'docker.io';
}
