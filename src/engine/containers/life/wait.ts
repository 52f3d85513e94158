import { InvalidArgumentError } from '../../../base/errors.ts';
import { isChecked } from '../health.ts';
import type { Room } from '../room.ts';
import { exitCodeOf, isLive, lastExitOf } from '../state.ts';
import type { WaitCondition, WaitResult } from '../types.ts';

/** Registers the wait before it returns; settles from state where the condition holds already. */
export function wait(
  room: Room,
  ref: string,
  condition: WaitCondition,
  signal: AbortSignal,
): { readonly result: Promise<WaitResult> } {
  const container = room.registry.resolve(ref);
  const { state } = container;
  const runs = isLive(state) || state.status === 'restarting';
  if (condition === 'not-running' && !runs) {
    const error = state.status === 'created' ? state.error : (lastExitOf(state)?.error ?? '');
    const ended = { exitCode: exitCodeOf(state), error: error === '' ? null : error };
    return { result: container.audience.heard(room.clock).then(() => ended) };
  }
  if (condition === 'healthy') {
    if (!isChecked(container)) throw new InvalidArgumentError(`container ${container.id} has no health check`);
    if (isLive(state) && container.live.health?.status === 'healthy') {
      return { result: Promise.resolve({ exitCode: 0, error: null }) };
    }
  }
  const result = container.waiters.add(condition, signal);
  // Nobody may ask for the result of a client that has gone.
  result.catch(() => undefined);
  return { result };
}
