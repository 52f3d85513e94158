/**
 * One container: an actor. All changes go through its mailbox as decide → effect → persist → publish; an exit is a
 * message like any other. What is here is the actor's memory and its only way to change state; the verbs are one file each.
 */
import { InternalError } from '../../base/errors.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId, ExecId } from '../../base/ids.ts';
import { Mailbox } from '../../base/mailbox.ts';
import type { ProcessSpec } from '../oci/runtime-spec.ts';
import { placeOfCgroup } from '../runtime/cgroups.ts';
import type { AttachSession, Task } from '../runtime/monitor.ts';
import type { ContainerRows } from '../state/containers.ts';
import type { Exec } from './exec-record.ts';
import type { ContainerPaths } from './options.ts';
import { encodeState, type ContainerDocument, type ContainerRecord, type StateDocument } from './record.ts';
import { isLive, next, type ContainerEvent, type ContainerState } from './state.ts';
import type { ContainerView } from './types.ts';
import { Waiters } from './waiters.ts';

/** An attach that waits for the process to exist; gets null when there will be none. */
export type ParkedAttach = (session: AttachSession | null) => void;

export class Container {
  readonly id: ContainerId;
  readonly createdAt: Timestamp;
  readonly document: ContainerDocument;
  readonly paths: ContainerPaths;
  readonly logPath: string | null;
  readonly mailbox = new Mailbox();
  readonly waiters = new Waiters();
  readonly execs = new Map<ExecId, Exec>();
  readonly parked = new Set<ParkedAttach>();
  /** The monitored process; present while state is running or paused. */
  task: Task | null = null;
  /** config.json's process, what execs inherit; read back from the bundle after a restart of the daemon. */
  process: ProcessSpec | null = null;
  /** Aborted when the container has ended and is not about to be restarted: ends `logs -f`. */
  ended = new AbortController();
  /** The start that the restart policy has planned. */
  restartTimer: Disposable | null = null;
  /** Pause before the present run. */
  restartDelayMs = 0;
  /** Somebody is removing it: no start any more, and no second removal. */
  removing = false;
  /** A user restarts it: its end is neither a reason for the policy nor, with `--rm`, its last. */
  restarting = false;
  readonly #rows: ContainerRows;
  readonly #changed: () => void;
  #name: string;
  #live: StateDocument;
  #view: ContainerView | null = null;

  constructor(
    record: ContainerRecord,
    parts: {
      readonly rows: ContainerRows;
      readonly paths: ContainerPaths;
      readonly logPath: string | null;
      /** Told whenever {@link Container.view} shows something else. */
      readonly changed?: () => void;
    },
  ) {
    this.id = record.id;
    this.createdAt = record.createdAt;
    this.document = record.document;
    this.paths = parts.paths;
    this.logPath = parts.logPath;
    this.#rows = parts.rows;
    this.#changed = parts.changed ?? (() => undefined);
    this.#name = record.name;
    this.#live = record.live;
  }

  get name(): string {
    return this.#name;
  }

  get live(): StateDocument {
    return this.#live;
  }

  get state(): ContainerState {
    return this.#live.state;
  }

  /** Applies `event` to the state and persists it. InternalError when it cannot happen now. */
  apply(event: ContainerEvent, change: Partial<Omit<StateDocument, 'state'>> = {}): void {
    const state = next(this.state, event);
    if (state === null) throw new InternalError(`container ${this.id}: ${event.kind} while ${this.state.status}`);
    this.update({ ...change, state });
  }

  /** Changes what is kept beside the state; persisted before it is believed. */
  update(change: Partial<StateDocument>): void {
    const live = { ...this.#live, ...change };
    this.#rows.setState(this.id, encodeState(live));
    this.#live = live;
    this.touch();
  }

  /** Applies a fact that is true whether or not it can be written down (a process has ended on a full disk). */
  believe(event: ContainerEvent): void {
    const state = next(this.state, event);
    if (state !== null) this.#live = { ...this.#live, state };
    this.touch();
  }

  rename(name: string): void {
    this.#rows.setName(this.id, name);
    this.#name = name;
    this.touch();
  }

  /** Says that something the view shows but the state does not hold (execs) has changed. */
  touch(): void {
    this.#view = null;
    this.#changed();
  }

  /** An immutable snapshot; the same object until something changes. */
  view(): ContainerView {
    this.#view ??= viewOf(this);
    return this.#view;
  }
}

function viewOf(container: Container): ContainerView {
  const { document, live, paths } = container;
  const shown = live.hasStarted;
  return {
    id: container.id,
    name: container.name,
    createdAt: container.createdAt,
    spec: document.spec,
    frontDocument: document.frontDocument,
    imageId: document.imageId,
    path: document.path,
    args: document.args,
    state: live.state,
    mounts: document.mounts
      .filter(({ listed }) => listed)
      .map(({ kind, name, source, destination, driver, mode, readOnly, propagation }) => {
        return { kind, name, source, destination, driver, mode, readOnly, propagation };
      }),
    endpoints: live.sandbox?.endpoints ?? [],
    netnsPath: live.sandbox?.netnsPath ?? null,
    hostnamePath: shown ? paths.hostname : '',
    hostsPath: shown ? paths.hosts : '',
    resolvConfPath: shown ? paths.resolvConf : '',
    logPath: container.logPath,
    runtime: document.runtime,
    logDriver: document.logDriver,
    logOptions: document.logOptions,
    storageDriver: document.storageDriver,
    ipcMode: document.ipcMode,
    cgroupnsMode: document.cgroupnsMode,
    ...cgroupOf(live),
    execIds: [...container.execs.values()].filter(({ state }) => state.kind !== 'ended').map(({ id }) => id),
  };
}

function cgroupOf({ state, cgroupsPath }: StateDocument): Pick<ContainerView, 'cgroupPath' | 'unit'> {
  if (!isLive(state) || cgroupsPath === undefined) return { cgroupPath: null, unit: null };
  const { path, unit } = placeOfCgroup(cgroupsPath);
  return { cgroupPath: path, unit };
}
