/**
 * Where a registry is asked: base URLs for a domain, in the order in which they are tried. Pure; names are not looked
 * up. Docker's rules: `docker.io` lives at registry-1.docker.io, its mirrors come first; HTTPS everywhere; a registry is
 * *insecure* (certificate not checked, plain HTTP as a last resort) when it is on this machine or named as such.
 */
import { BlockList, isIP } from 'node:net';

/** One place to ask. */
export interface Endpoint {
  /** `https://registry-1.docker.io`, without a slash at the end. */
  readonly baseUrl: string;
  /** A mirror may be out of date or broken: any failure goes on to the next endpoint. */
  readonly isMirror: boolean;
  readonly verifyTls: boolean;
}

export interface EndpointRules {
  /** `host`, `host:port` or a CIDR block. */
  readonly insecureRegistries: readonly string[];
  /** Base URLs that mirror docker.io. */
  readonly mirrors: readonly string[];
}

const HUB_DOMAIN = 'docker.io';
const HUB_HOST = 'registry-1.docker.io';

/** The endpoints of a registry domain (`docker.io`, `localhost:5000`), first choice first. */
export function endpointsOf(domain: string, rules: EndpointRules): readonly Endpoint[] {
  const isHub = domain === HUB_DOMAIN;
  const host = isHub ? HUB_HOST : domain;
  const mirrors = isHub ? rules.mirrors.map((url) => mirrorOf(url, rules)) : [];
  if (!isInsecure(host, rules.insecureRegistries)) {
    return [...mirrors, { baseUrl: `https://${host}`, isMirror: false, verifyTls: true }];
  }
  return [
    ...mirrors,
    { baseUrl: `https://${host}`, isMirror: false, verifyTls: false },
    { baseUrl: `http://${host}`, isMirror: false, verifyTls: false },
  ];
}

/** The registry's domain in what `docker login` sends: a host, a URL, or nothing for Docker Hub. */
export function domainOfServerAddress(serverAddress: string): string {
  const host = serverAddress.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return host === '' || host === 'index.docker.io' || host === HUB_HOST ? HUB_DOMAIN : host;
}

/** True when the certificate of `host[:port]` is not checked and plain HTTP is allowed. */
export function isInsecure(host: string, insecureRegistries: readonly string[]): boolean {
  const name = hostNameOf(host);
  if (name === 'localhost' || insecureRegistries.includes(host) || insecureRegistries.includes(name)) return true;
  const family = isIP(name);
  if (family === 0) return false;
  const blocks = new BlockList();
  blocks.addSubnet('127.0.0.0', 8, 'ipv4');
  blocks.addAddress('::1', 'ipv6');
  for (const entry of insecureRegistries) addBlock(blocks, entry);
  return blocks.check(name, family === 6 ? 'ipv6' : 'ipv4');
}

function addBlock(blocks: BlockList, entry: string): void {
  const [address = '', prefix = ''] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || !/^\d{1,3}$/.test(prefix)) return;
  blocks.addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4');
}

function hostNameOf(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d+$/, '');
}

function mirrorOf(url: string, rules: EndpointRules): Endpoint {
  const host = url.replace(/^https?:\/\//, '').split('/', 1)[0] ?? '';
  return {
    baseUrl: url.replace(/\/+$/, ''),
    isMirror: true,
    verifyTls: !isInsecure(host, rules.insecureRegistries),
  };
}
