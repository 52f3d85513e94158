import { InvalidArgumentError } from '../../base/errors.ts';
import { parseIpv4 } from './ipv4.ts';
import {
  addressOnPredefinedNetwork,
  aliasOnPredefinedNetwork,
  invalidMacAddress,
  ipv6HostAddress,
} from './messages.ts';
import { parseMac } from './naming.ts';
import { isPredefined } from './predefined.ts';
import type { EndpointWish, PortBinding, SandboxRequest } from './types.ts';

/** `net.` and dot- or slash-separated words, without a way up in /proc/sys. */
const NET_SYSCTL = /^net(?:[./](?!\.)[A-Za-z0-9_:-]+(?:\.[0-9]+)?)+$/;

const PORT_MAX = 65535;

/** Everything about a request that can be judged without looking at the host. InvalidArgumentError, NotImplementedError. */
export function checkRequest(request: Omit<SandboxRequest, 'containerId'>): void {
  if (request.macAddress !== null && parseMac(request.macAddress) === null) throw invalidMacAddress(request.macAddress);
  for (const [name, wish] of Object.entries(request.endpoints)) checkWish(name, wish);
  for (const binding of request.portBindings) checkBinding(binding);
  for (const { port } of request.publishAll) checkContainerPort(port);
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
  if (wish.ipv4Address !== null && parseIpv4(wish.ipv4Address) === null) {
    throw new InvalidArgumentError(`invalid IPv4 address: ${wish.ipv4Address}`);
  }
}

function checkBinding({ container, hostIp, hostPortStart, hostPortEnd }: PortBinding): void {
  checkContainerPort(container.port);
  const isAny = hostPortStart === 0 && hostPortEnd === 0;
  if (!isAny && !(isPort(hostPortStart) && isPort(hostPortEnd) && hostPortStart <= hostPortEnd)) {
    throw new InvalidArgumentError(`invalid host port range: ${String(hostPortStart)}-${String(hostPortEnd)}`);
  }
  if (hostIp === '' || parseIpv4(hostIp) !== null) return;
  if (hostIp.includes(':')) throw ipv6HostAddress(hostIp);
  throw new InvalidArgumentError(`invalid IP address: ${hostIp}`);
}

function checkContainerPort(port: number): void {
  if (!isPort(port)) throw new InvalidArgumentError(`invalid container port: ${String(port)}`);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= PORT_MAX;
}
