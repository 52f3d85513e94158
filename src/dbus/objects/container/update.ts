import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ContainerUpdate, RestartPolicy } from '../../../engine/index.ts';
import { decodeDictionary, integerOf, type Dictionary } from '../../bus/dictionary.ts';
import type { MethodHandler } from '../../bus/exported.ts';
import type { Subject } from './parts.ts';

const KEYS = {
  Memory: 't',
  MemorySwap: 'x',
  MemoryReservation: 't',
  CPUQuota: 'x',
  CPUPeriod: 't',
  NanoCPUs: 't',
  CPUShares: 't',
  CPUSet: 's',
  MemorySet: 's',
  PidsLimit: 'x',
  BlkioWeight: 'u',
  RestartPolicy: 's',
} as const;

const POLICIES: readonly RestartPolicy['name'][] = ['no', 'always', 'unless-stopped', 'on-failure'];

/** Changes limits; what is not named stays. */
export function updateMethods({ parts, id }: Subject): Readonly<Record<string, MethodHandler>> {
  return {
    Update: async (_call, resources: Dictionary) => {
      const { warnings } = await parts.engine.containers.update(id, updateOf(resources));
      return [warnings];
    },
  };
}

function updateOf(dictionary: Dictionary): ContainerUpdate {
  const given = decodeDictionary(KEYS, dictionary);
  const number = (
    name: Exclude<keyof typeof KEYS, 'CPUSet' | 'MemorySet' | 'BlkioWeight' | 'RestartPolicy'>,
  ): number => (given[name] === undefined ? 0 : integerOf(name, given[name]));
  return {
    resources: {
      memoryBytes: number('Memory'),
      memorySwapBytes: number('MemorySwap'),
      memoryReservationBytes: number('MemoryReservation'),
      memorySwappiness: null,
      oomKillDisable: false,
      nanoCpus: number('NanoCPUs'),
      cpuShares: number('CPUShares'),
      cpuPeriodUs: number('CPUPeriod'),
      cpuQuotaUs: number('CPUQuota'),
      cpusetCpus: given.CPUSet ?? '',
      cpusetMems: given.MemorySet ?? '',
      pidsLimit: given.PidsLimit === undefined ? null : Math.max(0, number('PidsLimit')),
      blkioWeight: given.BlkioWeight ?? 0,
    },
    restartPolicy: given.RestartPolicy === undefined ? null : policyOf(given.RestartPolicy),
  };
}

/** `on-failure:3` has the count behind it, as the command line has. */
function policyOf(text: string): RestartPolicy {
  const [given = '', count = '0'] = text.split(':', 2);
  const name = POLICIES.find((known) => known === given);
  if (name === undefined || !/^\d{1,9}$/.test(count)) {
    throw new InvalidArgumentError(
      `invalid restart policy: unknown policy '${text}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  return { name, maximumRetryCount: Number(count) };
}
