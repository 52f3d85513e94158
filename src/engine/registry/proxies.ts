/**
 * Which proxy a URL is asked through: the rules of Go's `httpproxy`, so that what worked with dockerd's environment goes
 * on working. Pure.
 */
import { BlockList, isIP } from 'node:net';

/** Proxies for registry traffic; '' for none. */
export interface ProxyRules {
  readonly http: string;
  readonly https: string;
  /**
   * Comma-separated as in NO_PROXY: `example.com` (it and all below), `.example.com` or `*.example.com` (all below),
   * an address, a CIDR block, each but the block with `:port` if wanted; `*` for everything.
   */
  readonly none: string;
}

/** The proxy's URL; null to go without. */
export function proxyFor(url: URL, rules: ProxyRules): URL | null {
  const proxy = url.protocol === 'https:' ? rules.https : rules.http;
  if (proxy === '' || isExempt(url, rules.none)) return null;
  return parseProxy(proxy);
}

/** A proxy may be named without its scheme. */
function parseProxy(text: string): URL | null {
  const url = URL.parse(text);
  if (url !== null && /^(?:https?|socks5h?):$/.test(url.protocol)) return url;
  return URL.parse(`http://${text}`);
}

function isExempt(url: URL, none: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (host === 'localhost' || isLoopback(host)) return true;
  return none
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && (entry === '*' || isMatch(entry, host, port)));
}

function isMatch(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return isWithin(host, entry);
  const [, wantedHost = '', wantedPort = ''] = splitPort(entry);
  if (wantedHost === '' || (wantedPort !== '' && wantedPort !== port)) return false;
  if (isIP(wantedHost) !== 0) return isIP(host) !== 0 && isWithin(host, `${wantedHost}/${widthOf(wantedHost)}`);
  const domain = wantedHost.startsWith('*.') ? wantedHost.slice(1) : wantedHost;
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

/** `host`, `host:port`, `[::1]:port`; an IPv6 address alone has no port. */
function splitPort(entry: string): readonly string[] {
  if (isIP(entry) !== 0) return [entry, entry, ''];
  return /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
}

function widthOf(address: string): string {
  return isIP(address) === 6 ? '128' : '32';
}

/** True when `host` is an address in the block. */
export function isWithin(host: string, block: string): boolean {
  const family = isIP(host);
  const [address = '', length = ''] = block.split('/');
  if (family === 0 || isIP(address) !== family || !/^\d{1,3}$/.test(length)) return false;
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (Number(length) > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(length), type);
  return list.check(host, type);
}

function isLoopback(host: string): boolean {
  return host === '::1' || isWithin(host, '127.0.0.0/8');
}
