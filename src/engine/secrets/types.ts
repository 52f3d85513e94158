/**
 * Named secrets without swarm: small pieces of data that containers get as files in memory. What a secret holds goes in
 * by `create` and `update` and comes out only by `open`, which no front can reach.
 */
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerId } from '../../base/ids.ts';

/** A secret as everybody may see it: without what it holds. */
export interface SecretView {
  /** 25 letters and digits, as swarm's. */
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  /** Grows with each update, whose caller names the one that it knows. */
  readonly version: number;
}

/** A container that has a secret. */
export interface SecretUser {
  readonly id: ContainerId;
  readonly name: string;
}

/** Who uses secrets: the containers room, which is above this one. */
export interface SecretUsers {
  secretUsersOf(name: string): readonly SecretUser[];
}

/** The door for the facade. A ref is a whole id, a name, or the unique beginning of an id. */
export interface Secrets {
  /** By name. */
  list(): readonly SecretView[];
  /** NotFoundError `secret x not found`; InvalidArgumentError when a beginning is ambiguous. */
  get(ref: string): SecretView;
  /** ConflictError for a name in use; InvalidArgumentError for names, and for data that is empty or over 500 KiB. */
  create(request: {
    readonly name: string;
    readonly data: Uint8Array;
    readonly labels: Readonly<Record<string, string>>;
  }): SecretView;
  /**
   * Gives other labels, other data, or both; null leaves them. `version` is what the caller knows (null: whatever it is):
   * InvalidArgumentError `update out of sequence` when it is another by now. Containers see new data from their next start.
   */
  update(
    ref: string,
    change: {
      readonly version: number | null;
      readonly labels: Readonly<Record<string, string>> | null;
      readonly data: Uint8Array | null;
    },
  ): SecretView;
  /** ConflictError while a container, running or not, has it. */
  remove(ref: string): void;
}

/** The room with what only the containers room uses. */
export interface SecretSource {
  /** True when there is a secret of this name. */
  has(name: string): boolean;
  /** What it holds now. NotFoundError; DataLossError when no key at hand opens it. */
  open(name: string): Buffer;
}

/** The same for builds, whose Dockerfiles may come from anybody. */
export interface BuildSecretSource extends SecretSource {
  /** Its label `org.moored.build-secret=on` says that every Dockerfile may mount it. */
  isForBuilds(name: string): boolean;
}
