import { errnoText } from '../../base/errno-text.ts';
import { ConflictError, errnoCodeOf, messageOf, InternalError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { parseMountOptions } from '../kernel/mount-words.ts';
import type { Mount } from '../oci/mount.ts';
import type { VolumeMounter, VolumeRecord } from './driver.ts';

const SECRET_WORD = /(^|,)(pass(?:word)?2?)=[^,]*/g;

/**
 * What is mounted on volumes' directories, and for whom. The kernel's mount table is the truth; who uses what is kept in
 * memory and told anew by the containers that run when the engine starts. Callers hold the volume's lock.
 */
export class MountsInUse {
  readonly #mounter: VolumeMounter;
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #users = new Map<string, Set<string>>();

  constructor(mounter: VolumeMounter, logger: Pick<Logger, 'warn'>) {
    this.#mounter = mounter;
    this.#logger = logger;
  }

  /** Mounts `superblock` for its first user. InternalError in Docker's words. */
  async use(volume: VolumeRecord, superblock: () => Promise<Mount>, user: string): Promise<void> {
    if (!this.#isMounted(volume)) {
      await framed(volume, async () => this.#mount(await superblock(), volume.mountPoint));
    }
    const users = this.#users.get(volume.name) ?? new Set();
    this.#users.set(volume.name, users.add(user));
  }

  /** True from {@link use} or {@link adopt} to {@link leave}. */
  isUser(name: string, user: string): boolean {
    return this.#users.get(name)?.has(user) === true;
  }

  /** Unmounts with the last user; what cannot be unmounted is told. */
  async leave(volume: VolumeRecord, user: string): Promise<void> {
    const users = this.#users.get(volume.name);
    if (users === undefined || !users.delete(user) || users.size > 0) return;
    this.#users.delete(volume.name);
    if (this.#isMounted(volume)) await this.#unmount(volume);
  }

  /** Takes over a user that was there before the engine. */
  adopt(name: string, user: string): void {
    this.#users.set(name, (this.#users.get(name) ?? new Set()).add(user));
  }

  /** Takes away what is mounted for nobody. */
  async release(volume: VolumeRecord): Promise<void> {
    if ((this.#users.get(volume.name)?.size ?? 0) === 0 && this.#isMounted(volume)) await this.#unmount(volume);
  }

  /** ConflictError where anything is mounted on or below the volume: deleting would go on in there. */
  assertFree(volume: VolumeRecord): void {
    const [mounted] = this.#mounter.listBelow(volume.mountPoint);
    if (mounted === undefined) return;
    throw new ConflictError(`remove ${volume.name}: unlinkat ${mounted}: ${errnoText('EBUSY')}`);
  }

  #isMounted({ mountPoint }: VolumeRecord): boolean {
    return this.#mounter.listBelow(mountPoint).includes(mountPoint);
  }

  async #mount(mount: Mount, target: string): Promise<void> {
    try {
      await this.#mounter.mount(mount, target);
    } catch (error) {
      const code = errnoCodeOf(error);
      if (code === null) throw error;
      throw new InternalError(`failed to mount local volume: ${mountText(mount, target)}: ${errnoText(code)}`, {
        cause: error,
      });
    }
  }

  async #unmount({ name, mountPoint }: VolumeRecord): Promise<void> {
    try {
      await this.#mounter.unmount(mountPoint);
    } catch (error) {
      this.#logger.warn('a volume that nobody uses could not be unmounted', {
        volume: name,
        path: mountPoint,
        reason: messageOf(error),
      });
    }
  }
}

/** What was asked of the kernel, as Docker's mount errors have it; without passwords. */
function mountText({ source, options }: Mount, target: string): string {
  const { flags, data } = parseMountOptions(options);
  const words = data.join(',').replaceAll(SECRET_WORD, '$1$2=********');
  return [
    `mount ${source}:${target}`,
    ...(flags === 0 ? [] : [`flags: 0x${flags.toString(16)}`]),
    ...(words === '' ? [] : [`data: ${words}`]),
  ].join(', ');
}

async function framed<T>({ mountPoint }: VolumeRecord, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    throw new InternalError(`error while mounting volume '${mountPoint}': ${messageOf(error)}`, { cause: error });
  }
}
