import type { BuildMessage } from '../../../engine/index.ts';
import type { JobProgress } from '../../jobs/jobs.ts';
import { LOG_INFO } from '../../jobs/layers-progress.ts';
import { PullProgress } from './pull-progress.ts';

/** Colours in which Docker prints what a command says on its standard error. */
const COLOURS = /\u001b\[[0-9;]*m/g;

/** Makes one job's progress, items and log out of what a build says. */
export class BuildProgress {
  readonly #job: Pick<JobProgress, 'report' | 'item' | 'log'>;
  readonly #pull: PullProgress;
  #step: { readonly item: string; readonly number: number; readonly total: number } | null = null;
  /** The beginning of a line whose end has not come. */
  #partial = '';

  constructor(job: Pick<JobProgress, 'report' | 'item' | 'log'>) {
    this.#job = job;
    // The job's own progress counts steps.
    const layers = { report: () => undefined, item: job.item.bind(job), log: job.log.bind(job) };
    this.#pull = new PullProgress(layers);
  }

  /** The engine's sink. */
  take(message: BuildMessage): void {
    switch (message.kind) {
      case 'stream':
        return this.#print(message.text);
      case 'step':
        return this.#begin(message);
      case 'progress':
        return this.#pull.take(message.progress);
      case 'image':
        return;
    }
  }

  /** The build has succeeded. */
  end(): void {
    this.#endStep();
    if (this.#partial !== '') this.#print('\n');
  }

  #begin({ number, total, text }: Extract<BuildMessage, { readonly kind: 'step' }>): void {
    this.#endStep();
    this.#step = { item: `${String(number)}/${String(total)} ${text}`, number, total };
    this.#job.item({ item: this.#step.item, phase: 'building', done: 0, total: 1 });
    this.#job.report({ phase: 'building', done: number - 1, total });
  }

  #endStep(): void {
    if (this.#step === null) return;
    const { item, number, total } = this.#step;
    this.#step = null;
    this.#job.item({ item, phase: 'done', done: 1, total: 1 });
    this.#job.report({ phase: 'building', done: number, total });
  }

  #print(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) this.#job.log(LOG_INFO, line.replace(COLOURS, ''));
  }
}
