/** The tree of a container as a copy sees it: its root with all that the user has mounted into it. */
import { existsSync, mkdirSync } from 'node:fs';
import type { ViewMount } from '../../kernel/tree-views.ts';
import type { CopyView } from '../../storage/copying.ts';
import type { Container } from '../container.ts';
import { quietly } from '../life/exit.ts';
import { makeMountPoints } from '../mounts/points.ts';
import { releaseMounts, resolveMounts } from '../mounts/resolution.ts';
import { releaseSnapshots, rootMounts } from '../mounts/snapshots.ts';
import { mountTree, unmountTree } from '../mounts/tree.ts';
import type { Room } from '../room.ts';
import { makeScaffold } from '../setup/scaffold.ts';
import { isLive } from '../state.ts';
import { refuseOtherStorage } from '../storage.ts';
import type { Copy } from './copies.ts';

/** A view and the copy that holds what it is made of. */
export interface HeldView extends Disposable {
  readonly view: CopyView;
  readonly signal: AbortSignal;
}

/** Makes the container's files reachable, mounting them where nothing runs; disposing gives them back. */
export async function holdView(room: Room, container: Container): Promise<HeldView> {
  const live = viewOfLive(container);
  if (live !== null) return heldBy(container.copies.begin(), live);
  // Behind whatever starts or ends it.
  return container.mailbox.run(async () => {
    const started = viewOfLive(container);
    return started === null ? viewOfStill(room, container) : heldBy(container.copies.begin(), started);
  });
}

/** The mounts are those that its process has: volumes, binds and tmpfs as they are in it. */
function viewOfLive({ id, state, paths, document, live }: Container): CopyView | null {
  if (!isLive(state)) return null;
  const destinations = [...document.mounts.map(({ destination }) => destination), ...NETWORK_FILES];
  return {
    plan: {
      root: paths.rootfs,
      process: { pid: state.pid, cgroupMark: id },
      mounts: byDepth(destinations.map((destination) => ({ destination, from: { kind: 'process' } }))),
    },
    ids: live.idMapping ?? null,
  };
}

async function viewOfStill(room: Room, container: Container): Promise<HeldView> {
  refuseOtherStorage(room, container);
  const { paths, copies } = container;
  // Views of the last run still hold the layer.
  if (!copies.holdsRoot) await copies.settle(room.clock);
  const copy = copies.begin();
  try {
    if (!copies.holdsRoot) await mountForCopies(room, container);
    const mounts: ViewMount[] = [];
    for (const { destination, mount } of await resolveMounts(room, container)) {
      // What a tmpfs held went with the process.
      if (mount.type === 'tmpfs') continue;
      const readOnly = mount.options.some((word) => word === 'ro' || word === 'rro');
      const recursive = mount.options.includes('rbind');
      mounts.push({ destination, from: { kind: 'source', path: mount.source, readOnly, recursive } });
    }
    mounts.push(...networkFiles(container));
    return heldBy(copy, { plan: { root: paths.rootfs, process: null, mounts: byDepth(mounts) }, ids: null });
  } catch (error) {
    copy[Symbol.dispose]();
    throw error;
  }
}

async function mountForCopies(room: Room, container: Container): Promise<void> {
  const { paths, copies } = container;
  mkdirSync(paths.rootfs, { recursive: true, mode: 0o710 });
  const mounts = await rootMounts(room, container);
  copies.keep(async () => {
    for (const path of room.kernel.mounts.listBelow(paths.rootfs)) {
      await quietly(room, container, `the mount on ${path}`, async () => unmountTree(room, path));
    }
    await quietly(room, container, 'its volumes', async () => releaseMounts(room, container));
    await quietly(room, container, 'its snapshots', async () => releaseSnapshots(room, container));
  });
  for (const mount of mounts) await mountTree(room, mount, paths.rootfs);
  // dockerd has it from the container's making on, not only from its first start.
  makeScaffold(room.files, paths.rootfs);
  makeMountPoints(room.files, paths.rootfs, await resolveMounts(room, container));
}

const NETWORK_FILES: readonly string[] = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/** What was mounted over these in the last run, as dockerd shows them. */
function networkFiles({ paths, live }: Container): readonly ViewMount[] {
  if (!live.hasStarted || live.filesOf !== null) return [];
  const sources = [paths.hostname, paths.hosts, paths.resolvConf];
  return NETWORK_FILES.flatMap((destination, index) => {
    const path = sources[index] ?? '';
    return existsSync(path)
      ? [{ destination, from: { kind: 'source', path, readOnly: false, recursive: false } as const }]
      : [];
  });
}

function heldBy(copy: Copy, view: CopyView): HeldView {
  return { view, signal: copy.signal, [Symbol.dispose]: () => copy[Symbol.dispose]() };
}

/** A mount hides what lies below it, so the outer ones come first. */
function byDepth(mounts: readonly ViewMount[]): readonly ViewMount[] {
  return [...mounts].sort((a, b) => a.destination.split('/').length - b.destination.split('/').length);
}
