/** Brings the API to its sockets: inherited and configured ones, each once. */
import { closeSync } from 'node:fs';
import type { ApiServer } from '../api/server.ts';
import { InvalidArgumentError, messageOf, UnavailableError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Kernel } from '../engine/kernel/kernel.ts';
import { groupId } from './group.ts';
import { isSamePath, parseHosts, type ListenPlan } from './hosts.ts';

const DEFAULT_GROUP = 'docker';

export interface ListeningOptions {
  readonly plan: ListenPlan;
  readonly group: string;
  /** How network sockets are protected. */
  readonly tls: 'none' | 'encrypted' | 'client-verified';
  readonly logger: Logger;
  readonly kernel: Pick<Kernel, 'processes'>;
}

/** Where the API listens, and whether anybody who reaches it may use it. */
export interface Listening {
  readonly address: string;
  readonly isPlainTcp: boolean;
}

/** Listens on all of the plan: network, inherited, others. UnavailableError `failed to load listeners: …`; what listens by then goes on. */
export async function listenOnAll(api: ApiServer, options: ListeningOptions): Promise<readonly Listening[]> {
  const done: Listening[] = [];
  const listen = async (target: Parameters<ApiServer['listen']>[0]): Promise<void> => {
    const { address, isNetwork } = await api.listen(target);
    done.push({ address, isPlainTcp: isNetwork && options.tls !== 'client-verified' });
    tell(address, isNetwork, options);
  };
  try {
    for (const { fd } of options.plan.unwanted) closeSync(fd);
    // Where it is an address that fails, whoever waits at the inherited sockets can still be told; see refusal.ts.
    for (const wanted of options.plan.addresses) {
      if (wanted.kind === 'tcp') await listen(wanted);
    }
    for (const { fd } of options.plan.inherited) await listen({ kind: 'fd', fd });
    const inherited = done.map(({ address }) => address.replace(/^unix:\/\//, ''));
    for (const wanted of options.plan.addresses) {
      if (wanted.kind === 'unix' && !inherited.some((path) => isSamePath(path, wanted.path))) {
        await listen({ ...wanted, gid: await socketGroup(wanted.path, options) });
      }
    }
    return done;
  } catch (error) {
    throw new UnavailableError(`failed to load listeners: ${messageOf(error)}`, { cause: error });
  }
}

/** Serves metrics at `host:port`, in the clear and to everybody who reaches it, as dockerd. UnavailableError. */
export async function listenForMetrics(api: Pick<ApiServer, 'listen'>, text: string, logger: Logger): Promise<void> {
  try {
    const [wanted] = parseHosts([`tcp://${text}`], { tls: false });
    if (wanted?.kind !== 'tcp' || !/:\d+$/.test(text)) throw new InvalidArgumentError(`address ${text}: missing port`);
    const { address } = await api.listen(wanted);
    logger.info('metrics API listening', { address, endpoint: '/metrics' });
  } catch (error) {
    throw new UnavailableError(`failed to start metrics server: ${messageOf(error)}`, { cause: error });
  }
}

/** InvalidArgumentError when a group that was named for sockets is not there: before anything is touched for them. */
export async function checkSocketGroup(
  plan: ListenPlan,
  { group, kernel }: Pick<ListeningOptions, 'group' | 'kernel'>,
): Promise<void> {
  const isWanted = plan.addresses.some(({ kind }) => kind === 'unix');
  if (isWanted && group !== '' && group !== DEFAULT_GROUP) await groupId(group, kernel);
}

/** As dockerd: a host without the group `docker` gets root's socket and a warning; a group that was named must be there. */
async function socketGroup(path: string, { group, kernel, logger }: ListeningOptions): Promise<number | null> {
  if (group === '') return null;
  try {
    return await groupId(group, kernel);
  } catch (error) {
    if (group !== DEFAULT_GROUP) throw error;
    logger.warn(`could not change group ${path} to ${DEFAULT_GROUP}: ${messageOf(error)}`);
    return null;
  }
}

/** dockerd's words, and its warnings of a network socket that anybody may use. */
function tell(address: string, isNetwork: boolean, { tls, logger }: ListeningOptions): void {
  logger.info(`API listen on ${address.replace(/^unix:\/\//, '')}`);
  if (!isNetwork || tls === 'client-verified') return;
  logger.warn(
    'Binding to IP address without --tlsverify is insecure and gives root access on this machine to everyone who has access to your network.',
    { host: address },
  );
  logger.warn(
    'Binding to an IP address, even on localhost, can also give access to scripts run in a browser. Be safe out there!',
    { host: address },
  );
}
