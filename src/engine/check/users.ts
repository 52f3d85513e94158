/** Containers and volumes: is what they stand on there? */
import { mkdir, stat } from 'node:fs/promises';
import { ConflictError, messageOf } from '../../base/errors.ts';
import { isPassing } from '../containers/record.ts';
import type { CheckRun } from './ground.ts';

export async function checkContainers(run: CheckRun): Promise<void> {
  const containers = run.containers();
  for (const [index, container] of containers.entries()) {
    run.progress('containers', index, containers.length);
    run.counts.containers += 1;
    const subject = 'name' in container ? container.name : container.id;
    const tell = async (problem: string, remedy: string): Promise<void> =>
      run.report({ kind: 'container', subject, problem, remedy, mend: null });
    if ('unreadable' in container) {
      await tell(container.unreadable, 'restore the state file from a backup');
      continue;
    }
    if (isPassing(container.live)) continue;
    try {
      const { upkeep, layerTable } = await run.store(container.document.storageDriver);
      const snapshot = await upkeep.snapshotOf(container.id);
      const now = run.containers().find(({ id }) => id === container.id);
      if (now === undefined || ('live' in now && isPassing(now.live))) continue;
      if (snapshot === null) await tell('its files are gone', 'remove it and make it again');
      else if (snapshot.parent !== null && layerTable.get(snapshot.parent) === null) {
        await tell(`it stands on layer ${snapshot.parent}, which is missing`, 'remove it and make it again');
      }
    } catch (error) {
      const isClosed = error instanceof ConflictError;
      await tell(messageOf(error), isClosed ? 'make the driver work here again' : 'remove it and make it again');
    }
  }
}

export async function checkVolumes(run: CheckRun): Promise<void> {
  const volumes = run.needs.volumes.list();
  for (const [index, { name, document }] of volumes.entries()) {
    run.progress('volumes', index, volumes.length);
    run.counts.volumes += 1;
    const { mountPoint } = JSON.parse(document) as { readonly mountPoint?: string };
    if (mountPoint === undefined || (await isDirectory(mountPoint))) continue;
    await run.report({
      kind: 'volume',
      subject: name,
      problem: `its directory ${mountPoint} is gone, and what was in it`,
      remedy: 'can be made again, empty; restore its content from a backup',
      mend: async () => {
        await mkdir(mountPoint, { recursive: true, mode: 0o755 });
        return { outcome: 'repaired', remedy: 'made again, empty; restore its content from a backup' };
      },
    });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}
