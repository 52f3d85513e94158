/**
 * Starts many containers, each as soon as what it needs is there, everything else side by side. Waiting is bounded: a
 * need that is not met in its time is told, and the container is started all the same, as its policy wants.
 */
import { messageOf } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { startNow } from '../life/start.ts';
import { exitCodeOf, isLive } from '../state.ts';
import { wait } from '../life/wait.ts';
import { isChecked } from '../health.ts';
import { needsOf, type Condition, type Need } from './needs.ts';

/** How long a start waits for all that it needs: as long as the slowest database should take. */
const PATIENCE_MS = 120_000;

/** Returns the starts that it began, none of which rejects. */
export function startInOrder(room: Room, containers: readonly Container[]): readonly Promise<void>[] {
  if (containers.length === 0) return [];
  const candidate = ({ id, document }: Container) => ({ id, spec: document.spec });
  const needs = needsOf(containers.map(candidate), room.registry.all().map(candidate), (ref) => idOf(room, ref));
  const begun = new Map<ContainerId, PromiseWithResolvers<void>>(
    containers.map(({ id }) => [id, Promise.withResolvers<void>()]),
  );
  return containers.map(async (container) => {
    await met(room, container, { needs: needs.get(container.id) ?? [], begun });
    await startWithEngine(room, container);
    begun.get(container.id)?.resolve();
  });
}

function idOf(room: Room, ref: string): ContainerId | null {
  try {
    return room.registry.find(ref)?.id ?? null;
  } catch {
    return null;
  }
}

interface Order {
  readonly needs: readonly Need[];
  /** Settles when the start of a container has been tried. */
  readonly begun: ReadonlyMap<ContainerId, PromiseWithResolvers<void>>;
}

async function met(room: Room, container: Container, { needs, begun }: Order): Promise<void> {
  if (needs.length === 0) return;
  const late = new AbortController();
  using _timer = room.clock.after(PATIENCE_MS, () => late.abort(new Error('it took too long')));
  const signal = AbortSignal.any([late.signal, room.over.signal]);
  await Promise.all(
    needs.map(async ({ id, condition }) => {
      const needed = room.registry.get(id);
      if (needed === null) return;
      try {
        await within(signal, begun.get(id)?.promise);
        await holds(room, needed, condition, signal);
      } catch (error) {
        const facts = { container: container.id, needed: needed.name, condition, reason: messageOf(error) };
        room.logger.warn('a container is started though what it depends on is not as it should be', facts);
      }
    }),
  );
}

/** Settles as `work` does, or rejects when the signal is aborted before. */
async function within(signal: AbortSignal, work: Promise<void> | undefined): Promise<void> {
  if (work === undefined) return;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Waits until the condition holds; rejects where it does not, or cannot any more. */
async function holds(room: Room, needed: Container, condition: Condition, signal: AbortSignal): Promise<void> {
  const { state } = needed;
  const runs = isLive(state) || state.status === 'restarting';
  switch (condition) {
    case 'service_started':
      if (!runs) throw new Error('it does not run');
      return;
    case 'service_healthy': {
      if (!runs) throw new Error('it does not run');
      // Without a check of its own it is as healthy as it can be.
      if (!isChecked(needed)) return;
      const { error } = await wait(room, needed.id, 'healthy', signal).result;
      if (error !== null) throw new Error(error);
      return;
    }
    case 'service_completed_successfully': {
      const exitCode = runs ? (await wait(room, needed.id, 'not-running', signal).result).exitCode : exitCodeOf(state);
      if (!needed.live.hasStarted) throw new Error('it has never run');
      if (exitCode !== 0) throw new Error(`it ended with ${String(exitCode)}`);
    }
  }
}

async function startWithEngine(room: Room, container: Container): Promise<void> {
  try {
    await container.mailbox.run(async () => {
      // An engine that is told to end at once need not start what it would have to stop.
      if (!room.closing && room.registry.get(container.id) === container) await startNow(room, container);
    });
  } catch (error) {
    room.logger.error('a container could not be started with the engine', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}
