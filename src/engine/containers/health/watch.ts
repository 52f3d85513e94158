/**
 * Keeps one container's health: a single timer between probes, nothing while a container does not run or is paused, and
 * nothing at all without a check.
 */
import { messageOf } from '../../../base/errors.ts';
import type { Timestamp } from '../../../base/clock.ts';
import type { Container } from '../container.ts';
import { publish, type Room } from '../room.ts';
import type { HealthView } from '../types.ts';
import type { HealthCheck } from './check.ts';
import { begun, pauseMs, probed, resumedPauseMs } from './machine.ts';
import { probe } from './probe.ts';

/** A container that is being watched. Disposing ends a probe that runs. */
export class HealthWatch implements Disposable {
  readonly #room: Room;
  readonly #container: Container;
  readonly #check: HealthCheck;
  readonly #startedAt: Timestamp;
  readonly #over = new AbortController();
  #timer: Disposable | null = null;

  constructor(
    room: Room,
    container: Container,
    { check, startedAt }: { readonly check: HealthCheck; readonly startedAt: Timestamp },
  ) {
    this.#room = room;
    this.#container = container;
    this.#check = check;
    this.#startedAt = startedAt;
  }

  /** A new run: starting, and the first probe after one pause. */
  begin(): void {
    settleHealth(this.#room, this.#container, begun(this.#container.live.health ?? null));
    this.#plan(pauseMs);
  }

  /** A run that has been watched before (by the engine before this one, before a pause): what is known of it stays. */
  resume(): void {
    if (this.#container.live.health === undefined) settleHealth(this.#room, this.#container, begun(null));
    this.#plan(resumedPauseMs);
  }

  /** Probing ends, and with it the word that it is healthy. */
  [Symbol.dispose](): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(new Error('nothing is probed any more'));
    this.#timer?.[Symbol.dispose]();
  }

  #plan(pause: typeof pauseMs): void {
    const { clock } = this.#room;
    const health = this.#container.live.health ?? begun(null);
    this.#timer = clock.after(pause(this.#check, health, this.#startedAt, clock.now()), () => void this.#probe());
  }

  async #probe(): Promise<void> {
    const { signal } = this.#over;
    const result = await probe(this.#room, this.#container, this.#check, signal);
    // The container ended or was paused meanwhile: what came of the probe says nothing of its health.
    if (signal.aborted) return;
    const before = this.#container.live.health ?? begun(null);
    const health = probed(before, result, this.#check, this.#startedAt);
    settleHealth(this.#room, this.#container, health);
    this.#plan(pauseMs);
    const hasChanged = health.status !== before.status;
    if (hasChanged) publish(this.#room, this.#container, `health_status: ${health.status}`);
    this.#room.actOnHealth(this.#container, health, hasChanged);
  }
}

/** Written where the status changes; a streak and five outputs are not worth a write at each probe. */
export function settleHealth(room: Room, container: Container, health: HealthView): void {
  const hasChanged = container.live.health?.status !== health.status;
  try {
    if (hasChanged) container.update({ health });
    else container.note({ health });
  } catch (error) {
    room.logger.warn('the health of a container could not be written down', {
      container: container.id,
      reason: messageOf(error),
    });
    container.note({ health });
  }
  if (hasChanged && health.status === 'healthy') container.waiters.healthy();
}
