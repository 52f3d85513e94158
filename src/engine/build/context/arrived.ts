import type { FoundDockerfile } from './dockerfile.ts';

/** What came, before anybody has asked for its Dockerfile. */
export interface ArrivedContext {
  readonly root: string;
  /** The one that was asked for, where it has been read already. */
  readonly dockerfile: FoundDockerfile | null;
}
