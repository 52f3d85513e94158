import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InternalError, UnavailableError } from '../../../../src/base/errors.ts';
import type { UnpackJob } from '../../../../src/engine/storage/layers/job.ts';
import { LayerWorkers } from '../../../../src/engine/storage/layers/workers.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { PATIENCE } from '../../../support/patience.ts';

const url = new URL('./scripted-worker.ts', import.meta.url);

function job(script: string): UnpackJob {
  return { kind: 'unpack', blobPath: script, root: '/', form: 'tree' };
}

describe('LayerWorkers', () => {
  let clock: FakeClock;
  let workers: LayerWorkers;

  beforeEach(() => {
    clock = new FakeClock();
    workers = new LayerWorkers({ url, clock, size: 2, idleMs: 1000 });
  });
  afterEach(async () => workers[Symbol.asyncDispose]());

  it('starts threads on demand, no more than its size, and uses them again', async () => {
    expect(workers.threads).toBe(0);
    const outcomes = await Promise.all(Array.from({ length: 6 }, async () => workers.run(job('ok'))));
    expect(workers.threads).toBe(2);
    const threads = new Set(outcomes.map((outcome) => (outcome.kind === 'done' ? outcome.result.diffId : null)));
    expect(threads.size).toBeLessThanOrEqual(2);
    expect(threads).not.toContain(null);
  });

  it('stops threads that have been idle', async () => {
    await workers.run(job('ok'));
    await clock.advance(900);
    await workers.run(job('ok'));
    await clock.advance(900);
    expect(workers.threads).toBe(1);
    await clock.advance(200);
    await vi.waitFor(() => expect(workers.threads).toBe(0), PATIENCE);
    expect((await workers.run(job('ok'))).kind).toBe('done');
  });

  it.each([
    ['crash', 'layer worker ended: exit status 3'],
    ['throw', 'layer worker ended: worker bug'],
  ])('survives a worker that ends by %s', async (script, text) => {
    const attempt = workers.run(job(script));
    await expect(attempt).rejects.toThrow(text);
    await expect(attempt).rejects.toBeInstanceOf(InternalError);
    expect((await workers.run(job('ok'))).kind).toBe('done');
  });

  it('cancels a job that runs, when the worker has let go', async () => {
    const controller = new AbortController();
    const running = workers.run(job('until cancelled'), {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    });
    await expect(running).rejects.toThrow('enough');
    expect((await workers.run(job('ok'))).kind).toBe('done');
  });

  it('cancels a job that waits without touching the others', async () => {
    const running = [new AbortController(), new AbortController()].map((controller) => ({
      controller,
      outcome: workers.run(job('until cancelled'), { signal: controller.signal }),
    }));
    const waiting = new AbortController();
    const outcome = workers.run(job('ok'), { signal: waiting.signal });
    waiting.abort(new Error('not any more'));
    await expect(outcome).rejects.toThrow('not any more');
    for (const each of running) {
      each.controller.abort(new Error('end'));
      await expect(each.outcome).rejects.toThrow('end');
    }
  });

  it('refuses jobs aborted before or after its end', async () => {
    await expect(workers.run(job('ok'), { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late');
    await workers[Symbol.asyncDispose]();
    await expect(workers.run(job('ok'))).rejects.toThrow('layer workers are closed');
  });

  it('fails what is under way when it is closed', async () => {
    const running = expect(workers.run(job('until cancelled'))).rejects.toThrow(InternalError);
    await workers[Symbol.asyncDispose]();
    await running;
  });

  it('tells a full disk from other failures of a copy', async () => {
    await expect(workers.copyTree('full', '/')).rejects.toThrow(UnavailableError);
    await expect(workers.copyTree('ok', '/')).resolves.toBeUndefined();
  });
});
