/** What is laid out for a container: things in memory on their way to a file system in memory. */

interface Owned {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface SecretFile extends Owned {
  readonly kind: 'file';
  readonly content: Buffer;
}

export interface SecretDirectory extends Owned {
  readonly kind: 'directory';
  /** By name. */
  readonly entries: ReadonlyMap<string, SecretNode>;
}

export type SecretNode = SecretFile | SecretDirectory;

/** One thing and where it is mounted. */
export interface PlacedSecret {
  /** Absolute, in the container. */
  readonly destination: string;
  readonly node: SecretNode;
}
