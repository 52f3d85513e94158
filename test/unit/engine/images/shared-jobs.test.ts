import { describe, expect, it } from 'vitest';
import { SharedJobs, type Watcher } from '../../../../src/engine/images/shared-jobs.ts';
import type { Progress } from '../../../../src/engine/images/types.ts';

/** A job that the test ends, and that takes a while to stop. */
class Work {
  readonly begun: Watcher[] = [];
  readonly stopped: unknown[] = [];
  readonly #ends: PromiseWithResolvers<string>[] = [];
  readonly undone = Promise.withResolvers<void>();

  readonly start = async (job: Watcher): Promise<string> => {
    const end = Promise.withResolvers<string>();
    this.begun.push(job);
    this.#ends.push(end);
    job.signal.addEventListener('abort', () => {
      this.stopped.push(job.signal.reason);
      void this.undone.promise.then(() => end.reject(job.signal.reason));
    });
    return await end.promise;
  };

  end(at: number, value: string): void {
    this.#ends[at]?.resolve(value);
  }

  fail(at: number, error: Error): void {
    this.#ends[at]?.reject(error);
  }
}

class Client {
  readonly seen: Progress[] = [];
  readonly #abort = new AbortController();
  readonly watcher: Watcher = { progress: (record) => void this.seen.push(record), signal: this.#abort.signal };

  leave(): void {
    this.#abort.abort(new Error('gone'));
  }
}

const turn = async (): Promise<void> => {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
};

describe('a shared job', () => {
  it('runs once for all who want it, and gives all its result', async () => {
    const [jobs, work, one, two] = [new SharedJobs<string>(), new Work(), new Client(), new Client()];
    const both = [jobs.join('k', one.watcher, work.start), jobs.join('k', two.watcher, work.start)];
    const other = jobs.join('another', one.watcher, work.start);
    await turn();
    expect(work.begun).toHaveLength(2);
    work.end(0, 'done');
    work.end(1, 'also');
    expect(await Promise.all([...both, other])).toEqual(['done', 'done', 'also']);
    const again = jobs.join('k', one.watcher, work.start);
    await turn();
    work.end(2, 'anew');
    expect(await again).toBe('anew');
  });

  it('fails for all', async () => {
    const [jobs, work, one, two] = [new SharedJobs<string>(), new Work(), new Client(), new Client()];
    const both = [jobs.join('k', one.watcher, work.start), jobs.join('k', two.watcher, work.start)];
    await turn();
    work.fail(0, new Error('no luck'));
    for (const result of both) await expect(result).rejects.toThrow('no luck');
  });

  it('goes on when one of them leaves, who is let go at once', async () => {
    const [jobs, work, one, two] = [new SharedJobs<string>(), new Work(), new Client(), new Client()];
    const [first, second] = [jobs.join('k', one.watcher, work.start), jobs.join('k', two.watcher, work.start)];
    await turn();
    one.leave();
    await expect(first).rejects.toThrow('gone');
    expect(work.stopped).toEqual([]);
    work.begun[0]?.progress({ id: 'a', status: 'on' });
    expect([one.seen, two.seen]).toEqual([[], [{ id: 'a', status: 'on' }]]);
    work.end(0, 'done');
    expect(await second).toBe('done');
  });

  it('stops when the last leaves, who waits until it is undone; who comes then begins anew', async () => {
    const [jobs, work, one, two, late] = [
      new SharedJobs<string>(),
      new Work(),
      new Client(),
      new Client(),
      new Client(),
    ];
    const first = jobs.join('k', one.watcher, work.start);
    const second = jobs.join('k', two.watcher, work.start);
    await turn();
    // Both at the same time: one of them is the last.
    one.leave();
    two.leave();
    let isLetGo = false;
    const left = second.catch(() => (isLetGo = true));
    await expect(first).rejects.toThrow('gone');
    await turn();
    expect([work.stopped.length, isLetGo]).toEqual([1, false]);
    const anew = jobs.join('k', late.watcher, work.start);
    await turn();
    expect(work.begun).toHaveLength(2);
    work.undone.resolve();
    await left;
    expect(isLetGo).toBe(true);
    work.end(1, 'done');
    expect(await anew).toBe('done');
  });

  it('is not begun for one who has gone', async () => {
    const [jobs, work, one] = [new SharedJobs<string>(), new Work(), new Client()];
    one.leave();
    await expect(jobs.join('k', one.watcher, work.start)).rejects.toThrow('gone');
    expect(work.begun).toEqual([]);
  });

  it('shows who comes late where everything stands, lines without an id too', async () => {
    const [jobs, work, one, late] = [new SharedJobs<string>(), new Work(), new Client(), new Client()];
    const first = jobs.join('k', one.watcher, work.start);
    await turn();
    const tell = work.begun[0]?.progress ?? (() => undefined);
    tell({ id: 'latest', status: 'Pulling from x' });
    tell({ id: 'a', status: 'Downloading', current: 1, total: 2 });
    tell({ id: 'a', status: 'Download complete' });
    tell({ status: 'Digest: sha256:1' });
    const second = jobs.join('k', late.watcher, work.start);
    expect(late.seen).toEqual([
      { id: 'latest', status: 'Pulling from x' },
      { id: 'a', status: 'Download complete' },
      { status: 'Digest: sha256:1' },
    ]);
    work.end(0, 'done');
    expect([await first, await second]).toEqual(['done', 'done']);
    expect(one.seen).toHaveLength(4);
  });
});
