/**
 * /etc/resolv.conf of containers: made anew at each start, and once more when a running container gets a name server of
 * its own. Whoever edits it in between keeps what he wrote.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { SandboxState } from '../../network/types.ts';
import type { Container } from '../container.ts';
import { resolverWishOf } from '../networks/sandbox-request.ts';
import type { Room } from '../room.ts';
import { editInPlace } from './in-place.ts';
import { defaultBridgeText, hostNetworkText, namesOnlyResolvedStub, ownServerText } from './resolv-conf.ts';
import type { HostFile } from './resolv-conf.ts';

const HOST_RESOLV_CONF = '/etc/resolv.conf';
/** Where systemd-resolved names the real servers when /etc/resolv.conf names only its own stub. */
const RESOLVED_RESOLV_CONF = '/run/systemd/resolve/resolv.conf';

/** Writes the file for a start. */
export function writeResolver(room: Room, container: Container, sandbox: SandboxState | null): void {
  const { paths } = container;
  const text = textFor(room, container, sandbox);
  writeFileSync(paths.resolvConf, text, { mode: 0o644 });
  writeFileSync(hashPath(container), hashOf(text), { mode: 0o644 });
}

/**
 * Leads a running container to the name server it has got by being connected to a user's network. A failure is only told:
 * the container has its networks.
 */
export function followResolver(room: Room, container: Container, before: SandboxState, after: SandboxState): void {
  if (before.resolver !== undefined || after.resolver === undefined) return;
  try {
    const written = readFileSync(hashPath(container), 'utf8');
    const text = textFor(room, container, after);
    editInPlace(container.paths.resolvConf, (current) => (hashOf(current) === written ? text : current));
  } catch (error) {
    room.logger.warn('the resolver configuration of a container could not follow its networks', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}

function textFor(room: Room, { document }: Container, sandbox: SandboxState | null): string {
  const { host } = document.spec;
  // A wish that is remembered with the sandbox is what its name server goes by.
  const wish = sandbox?.resolver?.wish ?? resolverWishOf(host, room.options);
  if (sandbox?.resolver !== undefined) return ownServerText(hostFile(), wish);
  if (host.network.kind === 'host') return hostNetworkText(hostFile(), wish);
  const ipv6 = sandbox?.endpoints.some(({ ipv6Address }) => ipv6Address !== null) ?? false;
  return defaultBridgeText(realServersFile(), wish, ipv6);
}

/** The file beside it, by which Docker knows too whether somebody has edited it. */
function hashPath({ paths }: Container): string {
  return `${paths.resolvConf}.hash`;
}

function hashOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** What the host itself goes by: resolved's stub as well can be asked from the host's network. */
function hostFile(): HostFile {
  return { path: HOST_RESOLV_CONF, text: readText(HOST_RESOLV_CONF) };
}

function realServersFile(): HostFile {
  const own = hostFile();
  if (!namesOnlyResolvedStub(own.text)) return own;
  const text = readText(RESOLVED_RESOLV_CONF);
  return text === '' ? own : { path: RESOLVED_RESOLV_CONF, text };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
