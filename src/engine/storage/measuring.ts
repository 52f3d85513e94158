/**
 * How much trees hold, as Docker counts it (`SizeRw`, a volume's `Size`): sizes as stat tells them, links to
 * one inode not twice, directories nothing. Small trees are counted at once, all others off the main thread.
 */
import type { SnapshotUsage } from './driver.ts';

/** A tree whose size is wanted. */
export interface MeasureSource {
  readonly root: string;
  /** A whole tree that this one was a copy of: only what differs counts. Null: everything does. */
  readonly parent: string | null;
  /** Absolute paths, as seen inside, that do not count. */
  readonly except: readonly string[];
}

/** Measures directories. */
export interface TreeMeter {
  /** What has gone, or goes meanwhile, holds nothing. */
  measure(source: MeasureSource): Promise<SnapshotUsage>;
}
