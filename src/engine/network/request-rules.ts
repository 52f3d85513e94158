import { InvalidArgumentError } from '../../base/errors.ts';
import { parseAddress } from './ipam/ip.ts';
import type { Family } from './ipam/ip.ts';
import { familyName } from './ipam/messages.ts';
import { addressOnPredefinedNetwork, aliasOnPredefinedNetwork, invalidMacAddress } from './messages.ts';
import { parseMac } from './naming.ts';
import { isPredefined } from './predefined.ts';
import { rateLimitsOf } from './rate-limits.ts';
import { checkBinding, checkContainerPort } from './ports.ts';
import type { EndpointWish, SandboxRequest } from './types.ts';

/** `net.` and dot- or slash-separated words, without a way up in /proc/sys. */
const NET_SYSCTL = /^net(?:[./](?!\.)[A-Za-z0-9_:-]+(?:\.[0-9]+)?)+$/;

/** Everything about a request that can be judged without looking at the host. InvalidArgumentError, NotImplementedError. */
export function checkRequest(request: Omit<SandboxRequest, 'containerId'>): void {
  if (request.macAddress !== null && parseMac(request.macAddress) === null) throw invalidMacAddress(request.macAddress);
  for (const [name, wish] of Object.entries(request.endpoints)) checkWish(name, wish);
  for (const binding of request.portBindings) checkBinding(binding);
  for (const { port } of request.publishAll) checkContainerPort(port);
  rateLimitsOf(request.labels ?? {});
  for (const key of Object.keys(request.sysctls)) {
    if (!NET_SYSCTL.test(key)) throw new InvalidArgumentError(`sysctl "${key}" is not in a network namespace`);
  }
}

function checkWish(networkName: string, wish: EndpointWish): void {
  if (wish.macAddress !== null && parseMac(wish.macAddress) === null) throw invalidMacAddress(wish.macAddress);
  if (isPredefined(networkName)) {
    if (wish.ipv4Address !== null || wish.ipv6Address !== null) throw addressOnPredefinedNetwork();
    if (wish.aliases.length > 0) throw aliasOnPredefinedNetwork();
  }
  checkAddress('ipv4', wish.ipv4Address);
  checkAddress('ipv6', wish.ipv6Address);
}

function checkAddress(family: Family, text: string | null): void {
  if (text === null || parseAddress(text)?.family === family) return;
  throw new InvalidArgumentError(`invalid ${familyName(family)} address: ${text}`);
}
