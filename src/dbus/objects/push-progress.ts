import type { Progress } from '../../engine/index.ts';
import type { JobProgress } from '../jobs/jobs.ts';
import { LOG_INFO, phaseOf, sumOfLayers, type LayerBytes } from '../jobs/layers-progress.ts';

/** The engine's (Docker's) words for where a layer stands on its way to a registry, in the interface's. */
const PHASES: readonly (readonly [RegExp, string])[] = [
  [/^Preparing$/, 'preparing'],
  [/^Waiting$/, 'waiting'],
  [/^Retrying in /, 'retrying'],
  [/^Pushing$/, 'uploading'],
  [/^Pushed$/, 'done'],
  [/^Layer already exists$/, 'exists'],
  [/^Mounted from /, 'mounted'],
  [/^Skipped foreign layer$/, 'skipped'],
];

/** Makes one job's progress out of the layers' of a push. */
export class PushProgress {
  readonly #job: Pick<JobProgress, 'report' | 'item' | 'log'>;
  /** Those that are sent. */
  readonly #layers = new Map<string, LayerBytes>();
  #digest = '';

  constructor(job: Pick<JobProgress, 'report' | 'item' | 'log'>) {
    this.#job = job;
  }

  /** What the registry calls what was pushed; '' before it is there. */
  get digest(): string {
    return this.#digest;
  }

  /** The engine's progress sink. */
  take({ id, status = '', current, total, pushed }: Progress): void {
    if (pushed !== undefined) {
      this.#digest = pushed.digest;
      return;
    }
    const phase = phaseOf(PHASES, status);
    if (id === undefined || phase === undefined) {
      this.#job.log(LOG_INFO, status);
      return;
    }
    const before = this.#layers.get(id);
    const known = (phase === 'uploading' ? total : undefined) ?? before?.total ?? 0;
    const done = phase === 'done' ? known : phase === 'uploading' ? (current ?? 0) : (before?.done ?? 0);
    if (known > 0) this.#layers.set(id, { done, total: known });
    this.#job.item({ item: id, phase, done: current ?? done, total: total ?? known });
    const layers = [...this.#layers.values()];
    this.#job.report({
      phase: layers.length === 0 ? 'preparing' : 'uploading',
      ...sumOfLayers(layers),
    });
  }
}
