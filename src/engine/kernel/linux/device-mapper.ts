/** {@link DeviceMapperCalls} by the requests of /dev/mapper/control; libdevmapper is not needed. */
import { errnoCodeOf } from '../../../base/errors.ts';
import type {
  BlockDeviceNumber,
  DeviceMapperCalls,
  DeviceTarget,
  MappedDevice,
  TargetsQuestion,
} from '../device-mapper.ts';
import { KernelError } from '../kernel.ts';
import * as codec from './device-mapper-codec.ts';
import { nodeOfBlockDevice, openControl } from './device-nodes.ts';
import type { IoctlRequest } from './ioctl.ts';
import { ioctl, ioctlOnThread } from './ioctl.ts';
import { closeQuietly, readProc } from './libc.ts';
import { once } from './once.ts';
import { watchReadable } from './readiness.ts';

const CONTROL = '/dev/mapper/control';
const MISC_MAJOR = 10;
/** The kernel's number for it since 2.6.34, by which the module is found. */
const CONTROL_MINOR = 236;

const VERSION = request(0, 'version');
const LIST_DEVICES = request(2, 'ls');
const DEV_CREATE = request(3, 'create');
const DEV_REMOVE = request(4, 'remove');
const DEV_SUSPEND = request(6, 'suspend');
const DEV_RESUME = request(6, 'resume');
const DEV_STATUS = request(7, 'info');
const TABLE_LOAD = request(9, 'load');
const TABLE_CLEAR = request(10, 'clear');
const TABLE_STATUS = request(12, 'status');
const TARGET_MSG = request(14, 'message');
const DEV_ARM_POLL = request(16, 'poll');

/**
 * What goes to udev with a change, in the upper half of the cookie: no rules of other subsystems (0x02), none for disks
 * (0x04), no others (0x08), and this is the change that counts (0x40). There is no semaphore behind the lower half.
 */
const UDEV_COOKIE = 0x004e0000;
const FIRST_ROOM_BYTES = 4096;
const MOST_ROOM_BYTES = 16 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Requests of this kernel's device mapper. KernelError where it has none. */
export function createDeviceMapperCalls(): DeviceMapperCalls {
  return new LinuxDeviceMapper();
}

class LinuxDeviceMapper implements DeviceMapperCalls {
  readonly version: string;
  /** Open for as long as the process lives. */
  readonly #control: number;

  constructor() {
    this.#control = openControl(CONTROL, controlNumber);
    const answer = codec.encodeRequest({}, NOTHING, 0);
    ioctl(this.#control, VERSION, answer, CONTROL);
    this.version = codec.decodeVersion(answer);
  }

  async list(): Promise<readonly string[]> {
    return codec.decodeNames(await this.#ask(LIST_DEVICES, {}));
  }

  async find(name: string): Promise<MappedDevice | null> {
    try {
      return codec.decodeDevice(await this.#ask(DEV_STATUS, { name }));
    } catch (error) {
      if (errnoCodeOf(error) === 'ENXIO') return null;
      throw error;
    }
  }

  async targets(
    name: string,
    { what, settled }: TargetsQuestion,
  ): Promise<MappedDevice & { readonly targets: readonly DeviceTarget[] }> {
    const flags = (what === 'table' ? codec.DM_STATUS_TABLE : 0) | (settled ? 0 : codec.DM_NOFLUSH);
    const answer = await this.#ask(TABLE_STATUS, { name, flags });
    return { ...codec.decodeDevice(answer), targets: codec.decodeTargets(answer) };
  }

  async create(name: string, table: readonly DeviceTarget[]): Promise<string> {
    const { number } = codec.decodeDevice(await this.#ask(DEV_CREATE, { name }));
    try {
      await this.#load(name, table);
      await this.resume(name);
      return nodeOfBlockDevice(`dm-${String(number.minor)}`, number);
    } catch (error) {
      await this.remove(name, { deferred: false }).catch(() => undefined);
      throw error;
    }
  }

  async replace(name: string, table: readonly DeviceTarget[]): Promise<void> {
    await this.#load(name, table);
    try {
      await this.suspend(name);
    } catch (error) {
      await this.#ask(TABLE_CLEAR, { name }).catch(() => undefined);
      throw error;
    }
    try {
      await this.resume(name);
    } catch (error) {
      // The new table could not be put in force and is dropped by the kernel: this is for the old one.
      await this.resume(name).catch(() => undefined);
      throw error;
    }
  }

  async suspend(name: string): Promise<void> {
    await this.#ask(DEV_SUSPEND, { name, flags: codec.DM_SUSPEND });
  }

  async resume(name: string): Promise<void> {
    await this.#ask(DEV_RESUME, { name, cookie: UDEV_COOKIE });
  }

  async message(name: string, words: string): Promise<string> {
    return codec.decodeAnswer(await this.#ask(TARGET_MSG, { name }, codec.encodeMessage(words)));
  }

  async remove(name: string, { deferred }: { readonly deferred: boolean }): Promise<void> {
    await this.#ask(DEV_REMOVE, { name, flags: deferred ? codec.DM_DEFERRED_REMOVE : 0, cookie: UDEV_COOKIE });
  }

  watch(listener: () => void): Disposable {
    // Each descriptor has a count of what it was told of its own.
    const fd = openControl(CONTROL, controlNumber);
    const arm = (): void => void ioctl(fd, DEV_ARM_POLL, codec.encodeRequest({}, NOTHING, 0), CONTROL);
    try {
      arm();
    } catch (error) {
      closeQuietly(fd);
      if (errnoCodeOf(error) !== 'ENOTTY') throw error;
      return { [Symbol.dispose]: () => undefined };
    }
    const watch = watchReadable(fd, () => {
      arm();
      listener();
    });
    watch.unref();
    return {
      [Symbol.dispose]: once(() => {
        watch[Symbol.dispose]();
        closeQuietly(fd);
      }),
    };
  }

  async #load(name: string, table: readonly DeviceTarget[]): Promise<void> {
    await this.#ask(TABLE_LOAD, { name, targetCount: table.length }, codec.encodeTable(table));
  }

  /** Asks again with more room for as long as the answer does not fit: only questions have answers of any length. */
  async #ask(what: IoctlRequest, header: codec.Header, data: Buffer = NOTHING): Promise<Buffer> {
    for (let room = FIRST_ROOM_BYTES; ; room *= 4) {
      const bytes = codec.encodeRequest(header, data, room);
      await ioctlOnThread(this.#control, what, bytes, header.name ?? null);
      if ((codec.flagsOf(bytes) & codec.DM_BUFFER_FULL) === 0) return bytes;
      if (room >= MOST_ROOM_BYTES) throw new KernelError(what.call, 'EMSGSIZE', header.name ?? null);
    }
  }
}

/** _IOWR(0xfd, nr, struct dm_ioctl) */
function request(nr: number, word: string): IoctlRequest {
  return { call: `dm ${word}`, number: 0xc0000000 + codec.HEADER_BYTES * 0x10000 + 0xfd00 + nr };
}

function controlNumber(): BlockDeviceNumber {
  return { major: MISC_MAJOR, minor: controlMinor() };
}

function controlMinor(): number {
  const [, minor] = /^ *(\d+) device-mapper$/m.exec(readProc('/proc/misc')) ?? [];
  return minor === undefined ? CONTROL_MINOR : Number(minor);
}
