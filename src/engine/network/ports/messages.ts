import { InternalError } from '../../../base/errors.ts';
import type { PortGroup, RowWish } from './groups.ts';

/*
 * What can be wrong with a published port, in the words of Docker 28's libnetwork: clients match them.
 */

/** Another container has the port. */
export function portAllocated(hostIp: string, hostPort: number): InternalError {
  return new InternalError(`Bind for ${hostIp}:${String(hostPort)} failed: port is already allocated`);
}

/** No port of a range is left. */
export function allPortsAllocated(): InternalError {
  return new InternalError('all ports are allocated');
}

/** The kernel does not let us have the port. */
export function bindFailed(group: PortGroup, row: RowWish, hostPort: number, code: string): InternalError {
  const which = group.first === group.last ? '' : ` ${String(hostPort)}`;
  return new InternalError(`failed to bind host port${which} for ${bindingText(group, row)}: ${reasonOf(code)}`);
}

/** The kernel has no socket for it, SCTP's module being absent or the daemon's descriptors being used up. */
export function noSocket(group: PortGroup, row: RowWish, code: string): InternalError {
  return new InternalError(
    `failed to create socket for userland proxy for ${bindingText(group, row)}: ${reasonOf(code)}`,
  );
}

/** Too many ports for the descriptors that this process may have. */
export function noDescriptors(group: PortGroup, row: RowWish, limit: number): InternalError {
  return new InternalError(
    `failed to create socket for userland proxy for ${bindingText(group, row)}: too many open files ` +
      `(each published port needs one, and the daemon may have ${String(limit)}: raise LimitNOFILE of its unit)`,
  );
}

/** Another process has bound the port, and nothing showed it before it was to listen. */
export function listenFailed(code: string): InternalError {
  return new InternalError(`failed to listen on TCP socket: ${reasonOf(code)}`);
}

/** Nothing but the packet filter leads SCTP. */
export function sctpUnproxied(group: PortGroup, row: RowWish): InternalError {
  return new InternalError(
    `failed to start userland proxy for port mapping ${bindingText(group, row)}: SCTP is led by the packet filter only, ` +
      'which cannot lead this port (--iptables=false or --ip6tables=false)',
  );
}

/** `0.0.0.0:8000-8010:172.17.0.2:80/tcp`, `[::]:80:[fd00::2]:80/tcp`. */
function bindingText({ container, first, last }: PortGroup, { hostIp, endpointIpAddress }: RowWish): string {
  const range = first === 0 ? '' : first === last ? String(first) : `${String(first)}-${String(last)}`;
  const inside = `${bracketed(endpointIpAddress)}:${String(container.port)}/${container.protocol}`;
  return `${bracketed(hostIp)}:${range}:${inside}`;
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function reasonOf(code: string): string {
  return REASONS[code] ?? code;
}

/** As Go's syscall package says them. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EPROTONOSUPPORT: 'protocol not supported',
  ESOCKTNOSUPPORT: 'socket type not supported',
  EAFNOSUPPORT: 'address family not supported by protocol',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in system',
  ENOBUFS: 'no buffer space available',
  ENOMEM: 'cannot allocate memory',
};
