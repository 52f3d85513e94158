import { describe, expect, it } from 'vitest';
import { PatientGatherer } from '../../../../../src/engine/build/context/arrivals.ts';
import type { TreeGatherer } from '../../../../../src/engine/storage/gathering.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

/** An archive that comes when it is told to. */
class Sender {
  readonly #pieces: (() => IteratorResult<Buffer>)[] = [];
  #wake: () => void = () => undefined;

  send(text: string): void {
    this.#put(() => ({ done: false, value: Buffer.from(text) }));
  }
  end(): void {
    this.#put(() => ({ done: true, value: undefined }));
  }
  #put(piece: () => IteratorResult<Buffer>): void {
    this.#pieces.push(piece);
    this.#wake();
  }
  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: async () => {
        while (this.#pieces.length === 0) {
          const { promise, resolve } = Promise.withResolvers<void>();
          this.#wake = resolve;
          await promise;
        }
        return this.#pieces.shift()!() as IteratorResult<Buffer, undefined>;
      },
    };
  }
}

function made(): { readonly clock: FakeClock; readonly gatherer: PatientGatherer; readonly got: Map<string, string> } {
  const clock = new FakeClock();
  const got = new Map<string, string>();
  const inner: TreeGatherer = {
    receive: async (root, tar) => {
      got.set(root, '');
      for await (const piece of tar) got.set(root, `${got.get(root) ?? ''}${piece.toString()}`);
      got.set(root, `${got.get(root) ?? ''}.`);
    },
    gather: async () => undefined,
    sift: async () => undefined,
    remove: async () => undefined,
  };
  return { clock, got, gatherer: new PatientGatherer(inner, { clock, atATime: 2, silenceMs: 60_000 }) };
}

const { signal } = new AbortController();
const settled = async (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => String(error),
  );

describe('contexts that arrive', () => {
  it('take their time while there is room for everybody', async () => {
    const { clock, gatherer, got } = made();
    const [one, two] = [new Sender(), new Sender()];
    const arrivals = [gatherer.receive('one', one, { signal }), gatherer.receive('two', two, { signal })];
    await clock.advance(3_600_000);
    for (const each of [one, two]) {
      each.send('late');
      each.end();
    }
    await Promise.all(arrivals);
    expect([...got]).toEqual([
      ['one', 'late.'],
      ['two', 'late.'],
    ]);
  });

  it('give way when they are silent and others wait, the longest silent first', async () => {
    const { clock, gatherer, got } = made();
    const senders = [new Sender(), new Sender(), new Sender()] as const;
    const [first, second, third] = senders;
    const one = settled(gatherer.receive('one', first, { signal }));
    const two = settled(gatherer.receive('two', second, { signal }));
    first.send('a');
    second.send('b');
    await settle();
    await clock.advance(50_000);
    second.send('c');
    await clock.advance(1);
    const three = settled(gatherer.receive('three', third, { signal }));
    await clock.advance(9_000);
    expect(got.has('three')).toBe(false);
    await clock.advance(1_000);
    expect(await one).toContain('nothing has come of the build context for 60 seconds');
    third.end();
    expect(await three).toBe('done');
    await clock.advance(600_000);
    second.end();
    expect(await two).toBe('done');
    expect(got.get('two')).toBe('bc.');
  });

  it('do not wait any more when their client has gone', async () => {
    const { clock, gatherer, got } = made();
    const senders = [new Sender(), new Sender()] as const;
    const held = senders.map((sender, index) => settled(gatherer.receive(String(index), sender, { signal })));
    const gone = new AbortController();
    const waiting = settled(gatherer.receive('gone', new Sender(), { signal: gone.signal }));
    gone.abort(new Error('gone'));
    expect(await waiting).toBe('Error: gone');
    await clock.advance(600_000);
    for (const sender of senders) sender.end();
    expect(await Promise.all(held)).toEqual(['done', 'done']);
    expect(got.has('gone')).toBe(false);
  });
});
