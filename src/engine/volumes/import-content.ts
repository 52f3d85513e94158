import type { Readable } from 'node:stream';
import { ConflictError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { KeyedLock } from '../../base/keyed-lock.ts';
import type { VolumeContents, VolumeRecord, Volumes } from './driver.ts';

/** What the room lends for an import. */
export interface ImportGround {
  readonly contents: VolumeContents;
  readonly lock: KeyedLock<string>;
  readonly get: (name: string) => VolumeRecord;
  readonly usersOf: (name: string) => readonly ContainerId[];
}

/** The volumes room's `import`; see driver.ts. */
export async function importContent(
  ground: ImportGround,
  name: string,
  tar: Readable,
  { force, signal, progress }: Parameters<Volumes['import']>[2],
): Promise<void> {
  const { contents, lock } = ground;
  const { mountPoint } = freeVolume(ground, name, force);
  await using archive = await contents.receive(tar, {
    signal,
    onProgress: (done) => progress({ phase: 'receiving', done, total: 0 }),
  });
  // Under the lock, so that nobody removes it or puts a container on it meanwhile.
  await lock.hold(name, async () => {
    freeVolume(ground, name, force);
    const onProgress = (done: number): void => progress({ phase: 'unpacking', done, total: archive.sizeBytes });
    await contents.unpack(archive, mountPoint, { signal, onProgress });
  });
}

function freeVolume({ get, usersOf }: ImportGround, name: string, force: boolean): VolumeRecord {
  const volume = get(name);
  const users = usersOf(name);
  if (force || users.length === 0) return volume;
  throw new ConflictError(`import into ${name}: volume is in use - [${users.join(', ')}]`);
}
