/**
 * The metrics room: numbers about the engine and its containers in Prometheus' text, made when somebody asks. Nothing is
 * sampled in between; what cannot be looked up later (how long verbs took, how many events there were) is counted as it
 * happens.
 */

/** The room's door. */
export interface Metrics {
  /**
   * One scrape, in pieces of text, each of whole lines. Containers are looked at a few at a time, so that others have
   * their turn; who asks while a look is under way gets the same. Ends early when the signal is aborted.
   */
  scrape(signal: AbortSignal): AsyncIterable<string>;
}

/** Facts about the engine for `engine_info` and its neighbours. */
export interface EngineFacts {
  readonly engineId: string;
  readonly engineVersion: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  readonly machine: string;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly storageDriver: string;
}
