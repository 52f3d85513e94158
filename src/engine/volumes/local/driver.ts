import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, NotImplementedError } from '../../../base/errors.ts';
import type { Mount } from '../../oci/mount.ts';
import type { VolumeDriver, VolumeRecord } from '../driver.ts';

/** Options of mount(8) that Docker's local driver takes. */
const KNOWN_OPTIONS = new Set(['type', 'o', 'device', 'size']);
const CONTENT = '_data';

/** Volumes as directories `<root>/<name>/_data`, where administrators look for them. */
export class LocalVolumeDriver implements VolumeDriver {
  readonly name = 'local';
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  validate(options: Readonly<Record<string, string>>): void {
    for (const [key] of Object.entries(options)) {
      if (!KNOWN_OPTIONS.has(key)) throw new InvalidArgumentError(`invalid option: "${key}"`);
      throw new NotImplementedError(
        `volume option "${key}" of the local driver is not supported by this version of moored`,
      );
    }
  }

  async create(name: string): Promise<string> {
    const mountPoint = this.#mountPointOf(name);
    await mkdir(this.#root, { recursive: true, mode: 0o701 });
    await mkdir(mountPoint, { recursive: true, mode: 0o755 });
    return mountPoint;
  }

  async mount(volume: VolumeRecord): Promise<Mount> {
    // Somebody may have deleted the directory by hand; a container must then get an empty volume, not an error.
    await mkdir(volume.mountPoint, { recursive: true, mode: 0o755 });
    return { type: 'bind', source: volume.mountPoint, options: ['rbind'] };
  }

  async remove(volume: VolumeRecord): Promise<void> {
    await rm(join(this.#root, volume.name), { recursive: true, force: true });
  }

  #mountPointOf(name: string): string {
    return join(this.#root, name, CONTENT);
  }
}
