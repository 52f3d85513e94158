import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readJson, writeDurably } from './durable-file.ts';

/** A thin device of the pool's, and how large a block device the kernel makes of it. */
export interface ThinDevice {
  readonly deviceId: number;
  readonly sizeBytes: number;
}

/** In a snapshot's directory: which device is its own. */
export const DEVICE_FILE = 'device.json';

/** Null where there is none. DataLossError. */
export async function readDevice(directory: string): Promise<ThinDevice | null> {
  return (await readJson(join(directory, DEVICE_FILE))) as ThinDevice | null;
}

/** Its owner has none any more, or not yet. */
export async function dropDevice(directory: string): Promise<void> {
  await rm(join(directory, DEVICE_FILE), { force: true });
}

/** On the disk when it settles. */
export async function writeDevice(directory: string, device: ThinDevice): Promise<void> {
  await writeDurably(join(directory, DEVICE_FILE), device);
}
