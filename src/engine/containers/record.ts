/**
 * What the state file keeps of a container, as two JSON documents: what was asked for (`doc`, written at create) and
 * what is (`state`, written at each change). Times in `state` are `{"$ns":"<nanoseconds>"}`, since JSON numbers are too small.
 */
import { parseByteSize } from '../../base/byte-size.ts';
import { DataLossError, messageOf } from '../../base/errors.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import { readSandbox, storedSandbox, type StoredSandbox } from '../network/stored-sandbox.ts';
import type { SandboxState } from '../network/types.ts';
import type { ImageId } from '../oci/digest.ts';
import type { IdMapping } from '../oci/id-mapping.ts';
import type { ContainerRow } from '../state/containers.ts';
import type { SecretRequest } from './secrets/requests.ts';
import type { UnhealthyRecord } from './health/action.ts';
import type { ContainerSpec, FrontDocument, MountedTree, NamespaceMode } from './spec-types.ts';
import type { ReadOnlyReach } from './mounts/read-only.ts';
import type { ContainerState, DesiredState } from './state.ts';
import { readDocument, storedDocument, type StoredDocument } from './stored-document.ts';
import type { HealthView, MountPoint } from './types.ts';

/** A mount decided at create, with what start needs to make it. */
export interface PlannedMount extends MountPoint {
  /** Shown in inspect's `Mounts`; `--tmpfs` mounts are not. */
  readonly listed: boolean;
  /** Bind: make a missing source directory. */
  readonly createSource: boolean;
  /** Bind: present and true where the ids on the disk are those inside. */
  readonly mapped?: boolean;
  /** Bind: with everything mounted below the source. */
  readonly recursive: boolean;
  /** Volume: leave it as it is when empty. */
  readonly noCopy: boolean;
  /** Volume: made by the engine for this container. */
  readonly anonymous: boolean;
  /** Volume: what it is made with when it is not there yet. */
  readonly volumeLabels: Readonly<Record<string, string>>;
  readonly volumeOptions: Readonly<Record<string, string>>;
  /** Bind: how far read-only reaches; absent in older rows, which means `possible`. */
  readonly readOnlyReach?: ReadOnlyReach;
  /** Volume and image: what inside is mounted. */
  readonly subpath?: string;
  /** Image: what is mounted in place of an image. */
  readonly tree?: MountedTree;
  /** Bind: the user asked for this propagation. */
  readonly propagationAsked?: boolean;
  /** tmpfs: mount options in words. */
  readonly tmpfsOptions: readonly string[];
}

/** What was asked for, complete: the image may go and the daemon's defaults may change, this stays. */
export interface ContainerDocument {
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
  readonly imageId: ImageId;
  /** First word of the command. */
  readonly path: string;
  readonly args: readonly string[];
  readonly mounts: readonly PlannedMount[];
  readonly runtime: string;
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly storageDriver: string;
  readonly ipcMode: NamespaceMode;
  readonly cgroupnsMode: NamespaceMode;
  /** Whose user namespace; absent: the daemon's mapping, where it has one. */
  readonly userns?: 'host' | 'remap' | 'auto';
  /** Absent where it has none. The names and places alone: what they hold is looked up at each start. */
  readonly secrets?: readonly SecretRequest[];
  /** Present and true: it is a step of a build that is under way; see steps.ts. */
  readonly isStep?: true;
}

/**
 * What is.
 *
 * `phase` tells recovery what a killed daemon was in the middle of: `creating` rows are taken back, `starting` rows may
 * have a process that nobody has heard of yet.
 */
export interface StateDocument {
  readonly phase: 'creating' | 'starting' | 'settled';
  readonly state: ContainerState;
  readonly desired: DesiredState;
  /** Present from network set-up until tear-down. */
  readonly sandbox: SandboxState | null;
  /** True after the first start: the files in its directory exist. */
  readonly hasStarted: boolean;
  /** Container whose hosts and resolv.conf it shares with its network, or null for its own. */
  readonly filesOf: ContainerId | null;
  /** `cgroupsPath` of the last start's config.json: where the process is, whatever the daemon's driver is now. */
  readonly cgroupsPath?: string;
  /** The ids of the last start's user namespace; absent or null: the host's. */
  readonly idMapping?: IdMapping | null;
  /** AppArmor profile of the last start, where the host has AppArmor. */
  readonly apparmorProfile?: string;
  /** Present and true once a removal has begun that takes the anonymous volumes along. */
  readonly takesVolumes?: boolean;
  /** Present and true while it is, or is about to be, paused for a commit: the engine after a killed one lets it go on. */
  readonly frozenForCommit?: boolean;
  /** What the engine made in the root to mount secrets on; see secrets/mount-points.ts. */
  readonly secretPoints?: readonly string[];
  /** Absent where nothing is checked, and before the first start. Written when its status changes. */
  readonly health?: HealthView;
  /** What was done about a container that was unhealthy; null and absent: nothing, or it is forgotten. */
  readonly unhealthy?: UnhealthyRecord | null;
}

/** A container as read from its row. */
export interface ContainerRecord {
  readonly id: ContainerId;
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly document: ContainerDocument;
  readonly live: StateDocument;
}

export function encodeDocument(document: ContainerDocument): string {
  return JSON.stringify(storedDocument(document));
}

export function encodeState(state: StateDocument): string {
  const sandbox = state.sandbox === null ? null : storedSandbox(state.sandbox);
  return JSON.stringify({ ...state, sandbox }, (_key, value: unknown) =>
    typeof value === 'bigint' ? { $ns: value.toString() } : value,
  );
}

/** DataLossError when a document is not what this engine writes. */
export function decodeRow(row: ContainerRow): ContainerRecord {
  try {
    return {
      id: row.id,
      name: row.name,
      createdAt: row.createdAt,
      document: documentOf(row.doc),
      live: liveOf(row.state),
    };
  } catch (error) {
    throw new DataLossError(`state of container ${row.id} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** It is just being made or removed, or was when the daemon was killed: the next start takes it back, or goes on. */
export function isPassing({ phase, state }: StateDocument): boolean {
  return phase === 'creating' || state.status === 'removing' || state.status === 'dead';
}

/** Bytes that a container was limited to when it was made; null where no size was asked for. */
export function sizeAskedFor({ spec }: Pick<ContainerDocument, 'spec'>): number | null {
  const asked = Object.entries(spec.host.storageOptions ?? {}).find(([name]) => name.toLowerCase() === 'size');
  return asked === undefined ? null : parseByteSize(asked[1]);
}

/** What a row that cannot be read as a whole still tells of the container's network; null: nothing. */
export function sandboxIn(row: Pick<ContainerRow, 'state'>): SandboxState | null {
  try {
    return liveOf(row.state).sandbox;
  } catch {
    return null;
  }
}

/** The few parts that everything else takes for granted; those that later versions added may be absent. */
function documentOf(text: string): ContainerDocument {
  const document = JSON.parse(text) as Partial<ContainerDocument> | null;
  if (typeof document?.spec?.host !== 'object' || !Array.isArray(document.mounts)) {
    throw new TypeError('it is no document of a container');
  }
  return readDocument(document as StoredDocument<ContainerDocument>);
}

function liveOf(text: string): StateDocument {
  const live = JSON.parse(text, reviveTime) as Partial<StateDocument> | null;
  if (typeof live?.state?.status !== 'string') throw new TypeError('it is no state of a container');
  const stored = (live.sandbox ?? null) as StoredSandbox | null;
  return { ...(live as StateDocument), sandbox: stored === null ? null : readSandbox(stored) };
}

function reviveTime(_key: string, value: unknown): unknown {
  if (typeof value === 'object' && value !== null && '$ns' in value && typeof value.$ns === 'string') {
    return BigInt(value.$ns);
  }
  return value;
}
