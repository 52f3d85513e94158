/** Addresses of log receivers, `proto://host:port` or `proto:///path`, and what Go says when one cannot be reached. */
import { InvalidArgumentError, errnoCodeOf, messageOf } from '../../../base/errors.ts';

const TRANSPORT = /^(tcp\+tls|tls|tcp|udp|unixgram|unix):\/\//;

/** The parts of an address. */
export interface TransportUrl {
  readonly scheme: string;
  /** `host:port` as it was written; '' with paths. */
  readonly host: string;
  readonly path: string;
}

/** A place on the network. */
export interface HostPort {
  readonly host: string;
  readonly port: string;
}

/** Null when the text does not begin like a transport's address. */
export function parseTransportUrl(text: string): TransportUrl | null {
  const [whole, scheme] = TRANSPORT.exec(text) ?? [];
  if (whole === undefined || scheme === undefined) return null;
  const rest = text.slice(whole.length);
  const slash = rest.indexOf('/');
  return slash < 0
    ? { scheme, host: rest, path: '' }
    : { scheme, host: rest.slice(0, slash), path: decodeURI(rest.slice(slash)) };
}

/** net.SplitHostPort; null where the port is missing. InvalidArgumentError in its words for all else. */
export function splitHostPort(text: string): HostPort | null {
  const [, bracketed, afterBracket] = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? [];
  if (bracketed !== undefined) return afterBracket === undefined ? null : { host: bracketed, port: afterBracket };
  if (text.startsWith('[')) throw new InvalidArgumentError(`address ${text}: missing ']' in address`);
  const parts = text.split(':');
  if (parts.length === 1) return null;
  if (parts.length > 2) throw new InvalidArgumentError(`address ${text}: too many colons in address`);
  return { host: parts[0] ?? '', port: parts[1] ?? '' };
}

/** `host:port`, with brackets where they are needed. */
export function joinHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  ENETUNREACH: 'network is unreachable',
  EHOSTUNREACH: 'no route to host',
  ETIMEDOUT: 'connection timed out',
  ECONNRESET: 'connection reset by peer',
  EPROTOTYPE: 'protocol wrong type for socket',
};

/** What Go's net.Dial says of a failed connection. */
export function dialFailure(network: string, address: string, error: unknown): string {
  const code = errnoCodeOf(error) ?? '';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `dial ${network}: lookup ${address.replace(/:[^:]*$/, '')}: no such host`;
  }
  const word = WORDS[code];
  return word === undefined
    ? `dial ${network} ${address}: ${messageOf(error)}`
    : `dial ${network} ${address}: connect: ${word}`;
}
