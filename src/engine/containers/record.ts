/**
 * What the state file keeps of a container, as two JSON documents: what was asked for (`doc`, written at create) and
 * what is (`state`, written at each change). Times in `state` are `{"$ns":"<nanoseconds>"}`, since JSON numbers are too small.
 */
import { DataLossError, messageOf } from '../../base/errors.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { SandboxState } from '../network/types.ts';
import type { ImageId } from '../oci/digest.ts';
import type { ContainerRow } from '../state/containers.ts';
import type { ContainerSpec, FrontDocument, NamespaceMode } from './spec-types.ts';
import type { ContainerState, DesiredState } from './state.ts';
import type { MountPoint } from './types.ts';

/** A mount decided at create, with what start needs to make it. */
export interface PlannedMount extends MountPoint {
  /** Shown in inspect's `Mounts`; `--tmpfs` mounts are not. */
  readonly listed: boolean;
  /** Bind: make a missing source directory. */
  readonly createSource: boolean;
  /** Bind: with everything mounted below the source. */
  readonly recursive: boolean;
  /** Volume: leave it as it is when empty. */
  readonly noCopy: boolean;
  /** Volume: made by the engine for this container. */
  readonly anonymous: boolean;
  /** Volume: what it is made with when it is not there yet. */
  readonly volumeLabels: Readonly<Record<string, string>>;
  readonly volumeOptions: Readonly<Record<string, string>>;
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
  /** Present and true once a removal has begun that takes the anonymous volumes along. */
  readonly takesVolumes?: boolean;
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
  return JSON.stringify(document);
}

export function encodeState(state: StateDocument): string {
  return JSON.stringify(state, (_key, value: unknown) =>
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
      document: JSON.parse(row.doc) as ContainerDocument,
      live: JSON.parse(row.state, reviveTime) as StateDocument,
    };
  } catch (error) {
    throw new DataLossError(`state of container ${row.id} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function reviveTime(_key: string, value: unknown): unknown {
  if (typeof value === 'object' && value !== null && '$ns' in value && typeof value.$ns === 'string') {
    return BigInt(value.$ns);
  }
  return value;
}
