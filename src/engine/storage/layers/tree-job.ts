import { InternalError } from '../../../base/errors.ts';
import type { JobResults, LayerJob } from './job.ts';
import { packingError } from './layer-fault.ts';
import type { JobOptions, LayerWorkers } from './workers.ts';

/** Has a worker do a job on a tree that needs no parents; throws what the worker says, in this thread's classes. */
export async function runTreeJob<Job extends LayerJob>(
  workers: LayerWorkers,
  job: Job,
  options: JobOptions,
): Promise<JobResults[Job['kind']]> {
  const outcome = await workers.run(job, options);
  switch (outcome.kind) {
    case 'done':
      return outcome.result;
    case 'failed':
      throw packingError(outcome.error, outcome.message);
    case 'needs-parents':
    case 'cancelled':
      throw new InternalError(`layer worker ended a job early: ${outcome.kind}`);
  }
}
