/** What a container has used: its control group, its network interfaces, and the machine beside them. */
import type { Container } from './container.ts';
import type { Room } from './room.ts';
import type { ContainerUsage, UsagePair } from './usage/types.ts';

export { usageOf } from './usage/sample.ts';
export type { ContainerUsage, UsagePair };

/** A sample a second, null while nothing runs; ends when the container has gone or nobody reads any more. */
export async function* followUsage(
  room: Room,
  container: Container,
  signal: AbortSignal,
): AsyncGenerator<ContainerUsage | null, void, void> {
  let waiting: ContainerUsage | null | undefined;
  let isOver = signal.aborted;
  let news = Promise.withResolvers<void>();
  const tell = (): void => {
    news.resolve();
    news = Promise.withResolvers();
  };
  const end = (): void => {
    isOver = true;
    tell();
  };
  signal.addEventListener('abort', end, { once: true });
  using _changes = room.changes.watch(({ kind, containerId }) => {
    if (kind === 'removed' && containerId === container.id) end();
  });
  // Who reads slowly gets the newest: there is no queue to grow.
  using _samples = room.sampler.follow(container, (sample) => {
    waiting = sample;
    tell();
  });
  try {
    for (;;) {
      if (isOver) return;
      if (waiting === undefined) {
        await news.promise;
        continue;
      }
      const sample = waiting;
      waiting = undefined;
      yield sample;
    }
  } finally {
    signal.removeEventListener('abort', end);
  }
}
