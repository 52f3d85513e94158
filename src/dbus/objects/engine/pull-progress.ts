import type { Progress } from '../../../engine/index.ts';
import type { JobProgress } from '../../jobs/jobs.ts';
import { LOG_INFO, phaseOf, sumOfLayers, type LayerBytes } from '../../jobs/layers-progress.ts';

/** The engine's (Docker's) words for where a layer stands, in the interface's. */
const PHASES: readonly (readonly [RegExp, string])[] = [
  [/^Pulling fs layer$/, 'waiting'],
  [/^Waiting$/, 'waiting'],
  [/^Retrying in /, 'retrying'],
  [/^Downloading$/, 'downloading'],
  [/^Verifying Checksum$/, 'verifying'],
  [/^Download complete$/, 'downloaded'],
  [/^Extracting$/, 'extracting'],
  [/^Pull complete$/, 'done'],
  [/^Already exists$/, 'exists'],
  [/^Loading layer$/, 'loading'],
];
/** Phases in which a layer's bytes are all here. */
const ARRIVED: ReadonlySet<string> = new Set(['verifying', 'downloaded', 'extracting', 'done']);
const DIGEST = /^Digest: (\S+)$/;

interface Layer extends LayerBytes {
  readonly phase: string;
}

/** Makes one job's progress out of the layers' of a pull or a load. */
export class PullProgress {
  readonly #job: Pick<JobProgress, 'report' | 'item' | 'log'>;
  readonly #layers = new Map<string, Layer>();
  #digest = '';

  constructor(job: Pick<JobProgress, 'report' | 'item' | 'log'>) {
    this.#job = job;
  }

  /** What the registry calls what was pulled; '' before it is known. */
  get digest(): string {
    return this.#digest;
  }

  /** The engine's progress sink. */
  take({ id, status = '', current, total, stream }: Progress): void {
    this.#digest = DIGEST.exec(status)?.[1] ?? this.#digest;
    const phase = phaseOf(PHASES, status);
    if (id === undefined || phase === undefined) {
      for (const line of (stream ?? status).split('\n')) if (line !== '') this.#job.log(LOG_INFO, line);
      return;
    }
    const before = this.#layers.get(id);
    const known = total ?? before?.total ?? 0;
    // Extracting counts the same bytes a second time, from 0: what has arrived stays arrived.
    const done = ARRIVED.has(phase) ? known : (current ?? before?.done ?? 0);
    this.#layers.set(id, { phase, done, total: known });
    this.#job.item({ item: id, phase, done: current ?? done, total: known });
    this.#report();
  }

  #report(): void {
    const layers = [...this.#layers.values()].filter(({ phase }) => phase !== 'exists');
    const isArriving = layers.some(({ phase }) => !ARRIVED.has(phase));
    this.#job.report({
      phase: isArriving ? (layers.some(({ phase }) => phase === 'loading') ? 'loading' : 'downloading') : 'extracting',
      ...sumOfLayers(layers),
    });
  }
}
