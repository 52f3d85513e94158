import { existsSync, mkdirSync } from 'node:fs';
import { chmod, chown, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InternalError } from '../../../base/errors.ts';
import type { Timestamp } from '../../../base/clock.ts';
import type { Mount } from '../../oci/mount.ts';
import type { FoundVolume, VolumeDriver, VolumeQuotas, VolumeRecord } from '../driver.ts';
import { resolveByHost, withAddresses, type ResolveAddress } from './address.ts';
import { ownerOf, sizeOf, validateOptions, wordsOf } from './options.ts';

const CONTENT = '_data';
/** Docker's own file beside the content, so that either engine finds a volume of the other's with its options. */
const OPTIONS_FILE = 'opts.json';
const DOCKERS_KEYS: Readonly<Record<string, string>> = { MountType: 'type', MountOpts: 'o', MountDevice: 'device' };

/** Options of {@link LocalVolumeDriver}. */
export interface LocalVolumeOptions {
  /** How names of servers are looked up. */
  readonly resolve?: ResolveAddress;
  /** What can limit a volume's directory; nothing unless given. */
  readonly quotas?: VolumeQuotas;
}

/** Volumes as directories `<root>/<name>/_data`, where administrators look for them. */
export class LocalVolumeDriver implements VolumeDriver {
  readonly name = 'local';
  readonly #root: string;
  readonly #resolve: ResolveAddress;
  readonly #quotas: VolumeQuotas | null;

  constructor(root: string, { resolve = resolveByHost, quotas }: LocalVolumeOptions = {}) {
    this.#root = root;
    this.#resolve = resolve;
    this.#quotas = quotas ?? null;
  }

  validate(options: Readonly<Record<string, string>>): void {
    validateOptions(options, this.#quotas === null ? 'none were looked for' : this.#quotas.obstacle);
  }

  mountPointOf(name: string): string {
    return join(this.#root, name, CONTENT);
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    const mountPoint = this.mountPointOf(name);
    // Two calls of microseconds: a busy thread pool would make milliseconds of them.
    mkdirSync(this.#root, { recursive: true, mode: 0o700 });
    const sizeBytes = sizeOf(options);
    if (sizeBytes > 0) await this.#makeLimited(name, sizeBytes);
    else mkdirSync(mountPoint, { recursive: true, mode: 0o755 });
    const owner = ownerOf(options);
    if (owner !== null) {
      const now = await stat(mountPoint);
      await chown(mountPoint, owner.uid ?? now.uid, owner.gid ?? now.gid);
      if (owner.mode !== null) await chmod(mountPoint, owner.mode);
    }
    if (isMounted(options) || sizeBytes > 0) {
      await writeFile(join(this.#root, name, OPTIONS_FILE), dockersOptions(options), { mode: 0o600 });
    }
  }

  hasSuperblock({ options }: VolumeRecord): boolean {
    return isMounted(options);
  }

  async superblock({ options }: VolumeRecord): Promise<Mount> {
    const { type = '', device = '' } = options;
    if (device === '') throw new InternalError('missing device in volume options');
    return withAddresses({ type, source: device, options: wordsOf(options) }, this.#resolve);
  }

  keepsOwner({ options }: VolumeRecord): boolean {
    return ownerOf(options) !== null;
  }

  async remove(volume: VolumeRecord): Promise<void> {
    if (sizeOf(volume.options) > 0) await this.#quotas?.drop(this.mountPointOf(volume.name));
    await rm(join(this.#root, volume.name), { recursive: true, force: true });
  }

  async found(): Promise<readonly FoundVolume[]> {
    const names = await readdir(this.#root).catch(() => []);
    const all = await Promise.all(names.map(async (name) => this.#look(name)));
    return all.filter((one) => one !== null);
  }

  async #makeLimited(name: string, sizeBytes: number): Promise<void> {
    const [own, mountPoint] = [join(this.#root, name), this.mountPointOf(name)];
    const isNew = mkdirSync(own, { recursive: true, mode: 0o755 }) !== undefined;
    if (existsSync(mountPoint)) return;
    try {
      await this.#quotas?.make(mountPoint, { sizeBytes, mode: 0o755 });
    } catch (error) {
      if (isNew) await rm(own, { recursive: true, force: true });
      throw error;
    }
  }

  async #look(name: string): Promise<FoundVolume | null> {
    const info = await stat(this.mountPointOf(name), { bigint: true }).catch(() => null);
    if (info?.isDirectory() !== true) return null;
    const text = await readFile(join(this.#root, name, OPTIONS_FILE), 'utf8').catch(() => '{}');
    return { name, createdAt: info.ctimeNs as Timestamp, options: optionsOf(text) };
  }
}

function isMounted({ type = '', device = '' }: Readonly<Record<string, string>>): boolean {
  return type !== '' || device !== '';
}

function dockersOptions(options: Readonly<Record<string, string>>): string {
  const fields = Object.entries(DOCKERS_KEYS).map(([key, own]) => [key, options[own] ?? '']);
  return JSON.stringify({ ...Object.fromEntries(fields), Quota: { Size: sizeOf(options) } });
}

function optionsOf(text: string): Readonly<Record<string, string>> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof json !== 'object' || json === null) return {};
  const named = Object.entries(json).flatMap(([key, value]): [string, string][] => {
    const own = DOCKERS_KEYS[key];
    return own === undefined || typeof value !== 'string' || value === '' ? [] : [[own, value]];
  });
  const sizeBytes = quotaIn(json);
  return { ...Object.fromEntries(named), ...(sizeBytes > 0 && { size: String(sizeBytes) }) };
}

function quotaIn(json: object): number {
  const quota: unknown = 'Quota' in json ? json.Quota : null;
  const size: unknown = typeof quota === 'object' && quota !== null && 'Size' in quota ? quota.Size : 0;
  return typeof size === 'number' && Number.isSafeInteger(size) ? size : 0;
}
