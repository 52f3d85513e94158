import type { Timestamp } from '../../base/clock.ts';

export type EventType = 'container' | 'image' | 'network' | 'volume' | 'secret' | 'daemon' | 'builder';

/** Something that happened; Docker's names of actions and attributes. */
export interface EngineEvent {
  readonly type: EventType;
  /** `create`, `start`, `die`, `exec_create: sh` … */
  readonly action: string;
  readonly actorId: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly time: Timestamp;
}

/** The event bus: a history that outlives the daemon, and live followers. */
export interface Events {
  publish(event: Omit<EngineEvent, 'time'>): void;
  /**
   * Past events since `since` (none when null), then live ones until `until` (never ends when null) or the signal.
   * A follower that falls behind gets an error at the end of its stream, never silent loss.
   */
  subscribe(options: {
    readonly since: Timestamp | null;
    readonly until: Timestamp | null;
    readonly matches: (event: EngineEvent) => boolean;
    readonly signal: AbortSignal;
  }): AsyncIterable<EngineEvent>;
  /**
   * Settles when all that was published until now outlives the daemon; at once while the store cannot be written: nobody
   * is to wait for a full disk.
   */
  written(): Promise<void>;
  /** In-process listeners, called synchronously in order of publication. Dispose to stop. */
  listen(listener: (event: EngineEvent) => void): Disposable;
  /** How many follow now (`NEventsListener`). */
  readonly followerCount: number;
}
