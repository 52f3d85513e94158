/**
 * Devices whose snapshots are gone and that could not be deleted: somebody still has them open.
 *
 * ```
 * <directory>/<device id>     empty
 * ```
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import { syncDirectory } from '../directories.ts';

/** As often as dockerd's. */
const RETRY_MS = 30_000;

/** Options of {@link DoomedDevices}. */
export interface DoomedDevicesOptions {
  readonly directory: string;
  /** Deletes a device; false while it is open. */
  readonly tryDelete: (deviceId: number) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class DoomedDevices {
  readonly #options: DoomedDevicesOptions;
  readonly #ids = new Set<number>();
  #timer: Disposable | null = null;

  constructor(options: DoomedDevicesOptions) {
    this.#options = options;
  }

  /** Reads what was left to be deleted, and tries. */
  async open(): Promise<void> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) if (/^\d+$/.test(name)) this.#ids.add(Number(name));
    await this.retry();
  }

  get ids(): ReadonlySet<number> {
    return this.#ids;
  }

  /** Writes down that a device is to be deleted, whoever asks for its snapshot. On the disk when it settles. */
  async add(deviceId: number): Promise<void> {
    const { directory } = this.#options;
    await writeFile(join(directory, String(deviceId)), '', { mode: 0o600 });
    await syncDirectory(directory);
    this.#ids.add(deviceId);
    this.#waitForNext();
  }

  /** Deletes those that can be. */
  async retry(): Promise<void> {
    for (const deviceId of [...this.#ids]) {
      try {
        if (!(await this.#options.tryDelete(deviceId))) continue;
        await rm(join(this.#options.directory, String(deviceId)), { force: true });
        this.#ids.delete(deviceId);
      } catch (error) {
        this.#options.logger.warn('thin device could not be deleted', { deviceId, error: messageOf(error) });
      }
    }
    this.#waitForNext();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #waitForNext(): void {
    if (this.#timer !== null || this.#ids.size === 0) return;
    this.#timer = this.#options.clock.after(RETRY_MS, () => {
      this.#timer = null;
      void this.retry();
    });
  }
}
