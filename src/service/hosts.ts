import { InvalidArgumentError } from '../base/errors.ts';

/** Where the API listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'fd' };

const DEFAULT_HOST = 'unix:///var/run/docker.sock';
const DEFAULT_TCP_PORT = 2375;

/** Reads `-H` values (none: Docker's default socket). InvalidArgumentError in dockerd's words. */
export function parseHosts(hosts: readonly string[]): readonly ListenAddress[] {
  return (hosts.length === 0 ? [DEFAULT_HOST] : hosts).map(parseHost);
}

function parseHost(text: string): ListenAddress {
  const [, scheme, rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [null, 'tcp', text];
  switch (scheme) {
    case 'unix':
      return { kind: 'unix', path: rest === '' ? '/var/run/docker.sock' : rest };
    case 'fd':
      return { kind: 'fd' };
    case 'tcp': {
      const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(rest);
      const port = match?.[2] === undefined ? DEFAULT_TCP_PORT : Number(match[2]);
      if (match === null || port > 65_535) throw new InvalidArgumentError(`invalid bind address (${text})`);
      const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
      return { kind: 'tcp', host: host === '' ? 'localhost' : host, port };
    }
    default:
      throw new InvalidArgumentError(`unable to parse docker host \`${text}\``);
  }
}
