/**
 * Puts a container's secrets in its way at each start: on a file system in memory that is the container's own, made
 * read-only once it is filled and mounted piece by piece over the container's root. Nothing of it touches the writable
 * layer but empty files and directories to mount on, which mount-points.ts takes away again.
 */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { Undo } from '../../../base/undo.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import type { ResolvedMount } from '../spec/input.ts';
import { readHostCredentials } from './host-credentials.ts';
import { wantsHostCredentials } from './requests.ts';
import type { PlacedSecret, SecretNode } from './tree.ts';

const NO_PROGRAMS = ['nosuid', 'nodev', 'noexec'] as const;
/** Room for files of less than a page each, beside what they hold. */
const SLACK_BYTES = 4 * 1024 * 1024;

/** Where secrets get their owners in a container with a user namespace. */
export interface IdMapping {
  /** The host's id of a container's. */
  hostUid(id: number): number;
  hostGid(id: number): number;
}

const SAME_IDS: IdMapping = { hostUid: (id) => id, hostGid: (id) => id };

/** Fills and mounts the file system; the mounts that the runtime is to make of it. Nothing where there is nothing. */
export async function layOutSecrets(
  room: Room,
  container: Container,
  undo: Undo,
  ids: IdMapping = SAME_IDS,
): Promise<readonly ResolvedMount[]> {
  const own = [...(container.step?.secrets ?? []), ...ownSecrets(room, container)];
  const taken = new Set(own.map(({ destination }) => destination));
  // What a user asks for by name is more particular than what every container gets.
  const hosts = (await hostSecrets(room, container)).filter(({ destination }) => !taken.has(destination));
  const secrets = [...own, ...hosts];
  if (secrets.length === 0) return [];
  const place = container.paths.secrets;
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const size = `size=${String(SLACK_BYTES + secrets.reduce((sum, { node }) => sum + bytesOf(node), 0))}`;
  const { mounts } = room.kernel;
  mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: [...NO_PROGRAMS, 'mode=0711', size] }, place);
  undo.defer(() => mounts.unmount(place, { lazy: true }));
  secrets.forEach(({ node }, index) => write(join(place, String(index)), node, ids));
  mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: ['remount', 'ro', ...NO_PROGRAMS, size] }, place);
  return secrets.map(({ destination }, index) => ({
    destination,
    mount: { type: 'bind', source: join(place, String(index)), options: ['bind', 'rprivate', 'ro', ...NO_PROGRAMS] },
  }));
}

/** The mounts of a container with its secrets over them: where both want one place, the secret has it, as SUSE decided. */
export function withSecrets(
  room: Room,
  container: Container,
  mounts: readonly ResolvedMount[],
  secrets: readonly ResolvedMount[],
): readonly ResolvedMount[] {
  const places = new Set(secrets.map(({ destination }) => destination));
  const kept = mounts.filter(({ destination }) => !places.has(destination));
  for (const { destination } of mounts.filter((mount) => !kept.includes(mount))) {
    room.logger.warn('a mount gave way to a secret', { container: container.id, destination });
  }
  return [...kept, ...secrets];
}

/** What the container asks for by label. InvalidArgumentError for one that is not there. */
function ownSecrets(room: Room, { document }: Container): readonly PlacedSecret[] {
  return (document.secrets ?? []).map(({ name, target, uid, gid, mode }) => ({
    destination: target,
    node: { kind: 'file', content: contentOf(room, name), uid, gid, mode },
  }));
}

function contentOf(room: Room, name: string): Buffer {
  try {
    return room.secrets.open(name);
  } catch (error) {
    // No 404: clients would take the container for missing.
    if (error instanceof NotFoundError) throw new InvalidArgumentError(error.message, { cause: error });
    throw error;
  }
}

async function hostSecrets(room: Room, { id, document }: Container): Promise<readonly PlacedSecret[]> {
  const { hostCredentialsRoot: root } = room.options;
  if (root === null || !wantsHostCredentials(document.spec.labels)) return [];
  return readHostCredentials(root, (reason) =>
    room.logger.warn('credentials of the host were left out of a container', { container: id, reason }),
  );
}

function write(path: string, node: SecretNode, ids: IdMapping): void {
  if (node.kind === 'file') {
    writeFileSync(path, node.content, { flag: 'wx', mode: 0o600 });
  } else {
    mkdirSync(path, { mode: 0o700 });
    for (const [name, child] of node.entries) write(join(path, name), child, ids);
  }
  chownSync(path, ids.hostUid(node.uid), ids.hostGid(node.gid));
  // After the owner: changing that takes set-id bits away.
  chmodSync(path, node.mode);
}

function bytesOf(node: SecretNode): number {
  if (node.kind === 'file') return node.content.length;
  return [...node.entries.values()].reduce((sum, child) => sum + bytesOf(child), 0);
}
