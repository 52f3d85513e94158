/**
 * The check of the store: is everything there that the state file names, is it what it should be, and is nothing else there?
 *
 *   finding     one thing that is wrong, with what can be done about it. With `repair` it is done.
 *   leftover    a finding about something that is there and that nobody needs: it costs space and does no harm.
 *   incomplete  an image that lacks a blob or a layer which nothing on this host can give back. The image is marked: push and
 *               save refuse it, and the next pull of it brings what is missing.
 *
 * Story: a disk lost a sector. `moored check` finds that a blob is not what its digest says; `moored check --repair` drops it
 * and marks the image; `docker pull` downloads the blob again and takes the mark away. Had the sector been one of an unpacked
 * layer, `--deep` would have found it and `--repair` would have unpacked the layer again from its blob, under the containers
 * that stand on it.
 *
 * The same code runs in the daemon (others work meanwhile: what is young or held is not taken for a leftover) and on the store of
 * a daemon that does not run.
 */
export type FindingKind = 'state' | 'blob' | 'layer' | 'image' | 'tag' | 'container' | 'volume' | 'host' | 'leftover';

export interface StoreFinding {
  readonly kind: FindingKind;
  /** Digest, chain id, name or path. */
  readonly subject: string;
  /** What is wrong. */
  readonly problem: string;
  /** What it takes on the disk. */
  readonly sizeBytes: number;
  /** `found`: nothing was done. `repaired`: as it should be again. `remains`: what can be done here was done, or nothing can. */
  readonly outcome: 'found' | 'repaired' | 'remains';
  /** What was done, or what to do. */
  readonly remedy: string;
}

export interface CheckProgress {
  readonly phase: 'state' | 'blobs' | 'layers' | 'images' | 'containers' | 'volumes' | 'leftovers';
  readonly done: number;
  readonly total: number;
}

export interface StoreReport {
  readonly findings: readonly StoreFinding[];
  /** How many of each were looked at. */
  readonly checked: {
    readonly blobs: number;
    readonly blobBytes: number;
    readonly layers: number;
    readonly images: number;
    readonly containers: number;
    readonly volumes: number;
  };
  /** Findings that are not repaired. */
  readonly problems: number;
}

export interface StoreCheckOptions {
  /** Mend what can be mended. */
  readonly repair: boolean;
  /** Compare unpacked layers with their blobs, file by file. Takes the time and, layer by layer, the space of unpacking. */
  readonly deep: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: CheckProgress) => void;
  /** Told as soon as it is known, and once only. */
  readonly onFinding?: (finding: StoreFinding) => void;
}

/** The facade's verb. */
export interface StoreCheck {
  /** One at a time. After an abort the signal's reason is thrown; what was repaired until then is. */
  run(options: StoreCheckOptions): Promise<StoreReport>;
}
