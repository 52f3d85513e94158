/**
 * The host's SUSE subscription, as SUSE's Docker hands it to each container that starts: `/etc/zypp/credentials.d` and
 * `/etc/SUSEConnect`, for zypper and container-suseconnect inside. Read anew at each start, kept nowhere.
 */
import type { Stats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { PlacedSecret, SecretDirectory, SecretNode } from './tree.ts';

const SOURCES = [
  { from: 'etc/zypp/credentials.d', destination: '/run/secrets/credentials.d' },
  { from: 'etc/SUSEConnect', destination: '/run/secrets/SUSEConnect' },
] as const;

/** Credentials are a few hundred bytes each: more is a mistake that would cost every container's start. */
const MAX_BYTES = 1024 * 1024;
const MAX_FILES = 1000;
const MAX_DEPTH = 8;
const PERMISSIONS = 0o7777;

interface Reading {
  readonly warn: (message: string) => void;
  bytes: number;
  files: number;
}

/**
 * What is there below `root` (`/`). What is missing, and what may not be read, is passed over in silence, as SUSE does; a
 * link that leads nowhere, and what is over the limits, with a warning that names the path.
 */
export async function readHostCredentials(
  root: string,
  warn: (message: string) => void,
): Promise<readonly PlacedSecret[]> {
  const reading: Reading = { warn, bytes: 0, files: 0 };
  const found: PlacedSecret[] = [];
  for (const { from, destination } of SOURCES) {
    const node = await read(reading, join(root, from), { isLink: false, depth: 0 });
    if (node !== null) found.push({ destination, node });
  }
  return found;
}

async function read(
  reading: Reading,
  path: string,
  { isLink, depth }: { readonly isLink: boolean; readonly depth: number },
): Promise<SecretNode | null> {
  let info: Stats;
  try {
    info = await stat(path);
  } catch (error) {
    if (isLink && errnoCodeOf(error) === 'ENOENT') reading.warn(`${path} is a link that leads nowhere`);
    return isPassedOver(error) ? null : fail(error);
  }
  if (info.isFile()) return readFile(reading, path, info);
  // A link to a directory may lead anywhere: only links to files are followed.
  return info.isDirectory() && !isLink ? readDirectory(reading, path, info, depth) : null;
}

async function readFile(reading: Reading, path: string, info: Stats): Promise<SecretNode | null> {
  if (reading.files + 1 > MAX_FILES || reading.bytes + info.size > MAX_BYTES) {
    reading.warn(`${path} is left out: credentials are limited to ${String(MAX_FILES)} files and 1 MiB`);
    return null;
  }
  try {
    await using file = await open(path);
    const buffer = Buffer.alloc(info.size);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    reading.files += 1;
    reading.bytes += bytesRead;
    return { kind: 'file', content: buffer.subarray(0, bytesRead), ...ownerOf(info) };
  } catch (error) {
    return isPassedOver(error) ? null : fail(error);
  }
}

async function readDirectory(
  reading: Reading,
  path: string,
  info: Stats,
  depth: number,
): Promise<SecretDirectory | null> {
  if (depth > MAX_DEPTH) return null;
  const entries = new Map<string, SecretNode>();
  try {
    const names = await readdir(path, { withFileTypes: true });
    for (const entry of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const place = { isLink: entry.isSymbolicLink(), depth: depth + 1 };
      const node = await read(reading, join(path, entry.name), place);
      if (node !== null) entries.set(entry.name, node);
    }
  } catch (error) {
    return isPassedOver(error) ? null : fail(error);
  }
  return { kind: 'directory', entries, ...ownerOf(info) };
}

function ownerOf({ uid, gid, mode }: Stats): { readonly uid: number; readonly gid: number; readonly mode: number } {
  return { uid, gid, mode: mode & PERMISSIONS };
}

function isPassedOver(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP'].includes(errnoCodeOf(error) ?? '');
}

function fail(error: unknown): never {
  throw error;
}
