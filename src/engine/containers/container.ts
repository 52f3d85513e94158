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
import { Copies } from './archive/copies.ts';
import type { Exec } from './exec/record.ts';
import { SnapshotHolds } from './mounts/holds.ts';
import type { ContainerPaths } from './options.ts';
import {
  encodeDocument,
  encodeState,
  type ContainerDocument,
  type ContainerRecord,
  type StateDocument,
} from './record.ts';
import { membershipsOf } from './membership.ts';
import { isLive, next, type ContainerEvent, type ContainerState } from './state.ts';
import type { ContainerView } from './types.ts';
import type { StepParts } from './steps.ts';
import { Audience } from './streams/audience.ts';
import { Waiters } from './life/waiters.ts';

/** An attach that waits for the process to exist; gets null when there will be none. */
export type ParkedAttach = (session: AttachSession | null) => void;

export class Container {
  readonly id: ContainerId;
  readonly createdAt: Timestamp;
  readonly paths: ContainerPaths;
  /** The monitor's log. */
  readonly logPath: string | null;
  /** The file that the log driver ships to, and inspect names. */
  readonly shippedPath: string | null;
  readonly mailbox = new Mailbox();
  readonly waiters = new Waiters();
  readonly execs = new Map<ExecId, Exec>();
  readonly parked = new Set<ParkedAttach>();
  readonly copies = new Copies();
  readonly audience = new Audience();
  readonly holds = new SnapshotHolds();
  /** The monitored process; present while state is running or paused. */
  task: Task | null = null;
  /** One that has ended, which could not be written down: what its monitor left tells the next daemon of it. */
  spent: Task | null = null;
  /** config.json's process, what execs inherit; read back from the bundle after a restart of the daemon. */
  process: ProcessSpec | null = null;
  /** Aborted when the container has ended and is not about to be restarted: ends `logs -f`. */
  ended = new AbortController();
  /** The start that the restart policy has planned. */
  restartTimer: Disposable | null = null;
  /** Pause before the present run. */
  restartDelayMs = 0;
  /** Somebody stopped or killed it: its next end is final, whatever the policy says. */
  endsForGood = false;
  /** Probes its health; present while it runs with a check. */
  healthWatch: Disposable | null = null;
  /** Somebody is removing it: no start any more, and no second removal. */
  removing = false;
  /** Of a build's step: what only its process gets. Null for others, and where an earlier engine made it. */
  step: StepParts | null = null;
  /** Its root has become a layer: it can only be removed. */
  isUsedUp = false;
  /** A user restarts it: its end is neither a reason for the policy nor, with `--rm`, its last. */
  restarting = false;
  readonly #rows: ContainerRows;
  readonly #changed: () => void;
  #document: ContainerDocument;
  #name: string;
  #live: StateDocument;
  #view: ContainerView | null = null;

  constructor(
    record: ContainerRecord,
    parts: {
      readonly rows: ContainerRows;
      readonly paths: ContainerPaths;
      readonly logPath: string | null;
      readonly shippedPath?: string | null;
      /** Told whenever {@link Container.view} shows something else. */
      readonly changed?: () => void;
    },
  ) {
    this.id = record.id;
    this.createdAt = record.createdAt;
    this.paths = parts.paths;
    this.logPath = parts.logPath;
    this.shippedPath = parts.shippedPath ?? null;
    this.#rows = parts.rows;
    this.#changed = parts.changed ?? (() => undefined);
    this.#document = record.document;
    this.#name = record.name;
    this.#live = record.live;
  }

  get name(): string {
    return this.#name;
  }

  /** What was asked for; {@link Container.amend} changes it. */
  get document(): ContainerDocument {
    return this.#document;
  }

  get live(): StateDocument {
    return this.#live;
  }

  /** False from the very end of its process on, of which nobody may have been told yet. */
  get hasProcess(): boolean {
    return this.task?.signal(0) === true;
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
  believe(event: ContainerEvent, change: Partial<Omit<StateDocument, 'state'>> = {}): void {
    const state = next(this.state, event);
    if (state !== null) this.#live = { ...this.#live, ...change, state };
    this.touch();
  }

  /** Remembers what is not worth a write of its own, or what a full disk did not take: it is written with the next change. */
  note(change: Partial<Pick<StateDocument, 'health' | 'desired' | 'sandbox'>>): void {
    this.#live = { ...this.#live, ...change };
    this.touch();
  }

  /** Changes what was asked for (`update`); persisted before it is believed. */
  amend(document: ContainerDocument): void {
    this.#rows.setDocument(this.id, encodeDocument(document));
    this.#document = document;
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
    health: live.health ?? null,
    mounts: document.mounts
      .filter(({ listed }) => listed)
      .map(({ kind, name, source, destination, driver, mode, readOnly, propagation }) => {
        return { kind, name, source, destination, driver, mode, readOnly, propagation };
      }),
    networks: membershipsOf(document.spec.host),
    endpoints: live.sandbox?.endpoints ?? [],
    netnsPath: live.sandbox?.netnsPath ?? null,
    hostnamePath: shown ? paths.hostname : '',
    hostsPath: shown ? paths.hosts : '',
    resolvConfPath: shown ? paths.resolvConf : '',
    logPath: shown ? container.shippedPath : null,
    runtime: document.runtime,
    logDriver: document.logDriver,
    logOptions: document.logOptions,
    storageDriver: document.storageDriver,
    apparmorProfile: live.apparmorProfile ?? '',
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
