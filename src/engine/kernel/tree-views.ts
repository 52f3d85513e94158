/**
 * A container's files as one tree, for the worker that copies them.
 *
 * Vocabulary: a *view* is a mount namespace of one worker thread, in which there is nothing but a container's root with
 * what is mounted into it, and `/proc/self/fd`; nothing that the host or another container mounts or unmounts is
 * seen in it or kept busy by it. A mount is *borrowed* from a process when it is taken as that process has it (tmpfs,
 * volumes, id-mapped mounts), instead of being made again from its source.
 *
 * Life cycle: `enter` in a worker, work by descriptors below `view.root`, dispose: the thread is back where it was and the
 * view is gone. A killed daemon leaves nothing: the namespace goes with its last thread.
 *
 * Story 1, a running container: `enter({ root: rootfs, mounts: [{ destination: '/data', from: { kind: 'process', … } }] })`.
 * Story 2, one that does not run: each mount `from: { kind: 'source', path: '/srv/data', … }`; `prepare` makes the places
 * that are missing.
 *
 * No path is trusted: destinations are resolved inside the root (openat2), so that a container that renames and links
 * meanwhile moves a mount at most to another place of its own.
 */
import type { Fd } from './kernel.ts';

/** Where the content of a mount comes from. */
export type ViewSource =
  | {
      readonly kind: 'source';
      readonly path: string;
      readonly readOnly: boolean;
      /** With everything mounted below the source. */
      readonly recursive: boolean;
    }
  /** As the process has it at this destination; left out when it has nothing mounted there (any more). */
  | { readonly kind: 'process' };

export interface ViewMount {
  /** Absolute, as the container sees it. */
  readonly destination: string;
  readonly from: ViewSource;
}

/** The process that mounts are borrowed from. */
export interface ViewProcess {
  readonly pid: number;
  /** What the path of its control group must hold: a number alone may be somebody else's by now. */
  readonly cgroupMark: string;
}

export interface ViewPlan {
  /** A mounted directory; what is mounted below it is not part of the view. */
  readonly root: string;
  readonly process: ViewProcess | null;
  /** Outer ones first. */
  readonly mounts: readonly ViewMount[];
}

/** A view; dispose to leave it. */
export interface TreeView extends Disposable {
  /** O_PATH descriptor of the root; the view's to close. */
  readonly root: Fd;
}

export interface ViewCalls {
  /**
   * Enters a view. `prepare` is called before a mount from a source is attached, with the root as it is by then. KernelError
   * ESRCH when the process is not the container's; whatever it throws, the thread is where it was.
   */
  enter(plan: ViewPlan, prepare?: (root: Fd, mount: ViewMount, isDirectory: boolean) => void): TreeView;
}
