import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InvalidArgumentError } from '../base/errors.ts';
import type { InheritedSocket } from './activation.ts';

/** Where the API listens. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Sockets passed on by systemd: all (''), one by its number, or those of one name. */
  | { readonly kind: 'fd'; readonly which: string };

const DEFAULT_SOCKET = '/var/run/docker.sock';
const DEFAULT_TCP_PORT = 2375;
const DEFAULT_TLS_PORT = 2376;

/** Reads `-H` values. InvalidArgumentError in dockerd's words. */
export function parseHosts(hosts: readonly string[], { tls }: { readonly tls: boolean }): readonly ListenAddress[] {
  return hosts.map((text) => parseHost(text, tls));
}

function parseHost(text: string, tls: boolean): ListenAddress {
  const [, scheme, rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [null, 'tcp', text];
  switch (scheme) {
    case 'unix':
      return { kind: 'unix', path: rest === '' ? DEFAULT_SOCKET : rest };
    case 'fd':
      return { kind: 'fd', which: rest === '*' ? '' : rest };
    case 'tcp': {
      const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(rest);
      const port = match?.[2] === undefined ? (tls ? DEFAULT_TLS_PORT : DEFAULT_TCP_PORT) : Number(match[2]);
      if (match === null || port > 65_535) throw new InvalidArgumentError(`invalid bind address (${text})`);
      const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
      return { kind: 'tcp', host: host === '' ? 'localhost' : host, port };
    }
    default:
      throw new InvalidArgumentError(`unable to parse docker host \`${text}\``);
  }
}

/** What to listen on, each once. */
export interface ListenPlan {
  readonly inherited: readonly InheritedSocket[];
  /** Inherited too, but not asked for: to be closed. */
  readonly unwanted: readonly InheritedSocket[];
  readonly addresses: readonly Exclude<ListenAddress, { readonly kind: 'fd' }>[];
}

/**
 * Inherited sockets are listened on whether `-H fd://` says so or not: the unit needs no `-H`, and so `hosts` in
 * daemon.json is free. Only `fd://3` or `fd://name` picks some of them. Docker's own socket is the fallback where nothing
 * was inherited and nothing configured.
 */
export function planListening(wanted: readonly ListenAddress[], inherited: readonly InheritedSocket[]): ListenPlan {
  const picks = wanted.filter((address) => address.kind === 'fd').map(({ which }) => pick(which, inherited));
  const kept = picks.length === 0 ? inherited : inherited.filter((socket) => picks.some((set) => set.includes(socket)));
  const addresses = wanted.filter((address) => address.kind !== 'fd');
  const nothing = kept.length === 0 && addresses.length === 0;
  return {
    inherited: kept,
    unwanted: inherited.filter((socket) => !kept.includes(socket)),
    addresses: nothing ? [{ kind: 'unix', path: DEFAULT_SOCKET }] : addresses,
  };
}

function pick(which: string, inherited: readonly InheritedSocket[]): readonly InheritedSocket[] {
  if (inherited.length === 0) {
    throw new InvalidArgumentError(
      'no sockets found via socket activation: make sure the service was started by systemd ' +
        '(`systemctl start docker.socket docker.service`), or listen without it, such as by -H unix:///var/run/docker.sock',
    );
  }
  if (which === '') return inherited;
  const named = inherited.filter(({ name }) => name === which);
  if (named.length > 0) return named;
  if (!/^\d+$/.test(which)) {
    const names = inherited.map(({ name }) => name).join(', ');
    throw new InvalidArgumentError(
      `failed to parse systemd fd address: should be a number: ${which} (or the name of a socket; there are: ${names})`,
    );
  }
  const byNumber = inherited.filter(({ fd }) => fd === Number(which));
  if (byNumber.length === 0) throw new InvalidArgumentError('too few socket activated files passed in by systemd');
  return byNumber;
}

/** True when two paths name one socket, as /run/docker.sock and /var/run/docker.sock do. */
export function isSamePath(one: string, other: string): boolean {
  return canonical(one) === canonical(other);
}

function canonical(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}
