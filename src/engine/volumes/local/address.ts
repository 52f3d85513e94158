/** Names of servers in mount options: the kernel takes addresses only, so they are looked up before each mount. */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import { errnoCodeOf, messageOf, InternalError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';

/** Looks a host name up. */
export type ResolveAddress = (host: string) => Promise<string>;

/** The host's own resolver, as mount.nfs asks it. */
export const resolveByHost: ResolveAddress = async (host) => (await lookup(host)).address;

/** The mount with addresses in place of names: `addr=` of nfs and cifs, and the server in a cifs device. */
export async function withAddresses(mount: Mount, resolve: ResolveAddress): Promise<Mount> {
  if (mount.type !== 'nfs' && mount.type !== 'cifs') return mount;
  const named = mount.options.find((word) => word.startsWith('addr='))?.slice('addr='.length) ?? '';
  if (named !== '' && !isIPv4(named)) {
    const address = await addressOf(named, resolve);
    return { ...mount, options: mount.options.map((word) => (word === `addr=${named}` ? `addr=${address}` : word)) };
  }
  const [, host = '', share = ''] = mount.type === 'cifs' ? (/^\/\/([^/]+)(\/.*)?$/.exec(mount.source) ?? []) : [];
  if (host === '' || isIP(host) !== 0) return mount;
  return { ...mount, source: `//${await addressOf(host, resolve)}${share}` };
}

async function addressOf(host: string, resolve: ResolveAddress): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return await resolve(host);
  } catch (error) {
    const isUnknown = ['ENOTFOUND', 'ENODATA'].includes(errnoCodeOf(error) ?? '');
    throw new InternalError(
      `error resolving passed in network volume address: lookup ${host}: ${isUnknown ? 'no such host' : messageOf(error)}`,
      { cause: error },
    );
  }
}
