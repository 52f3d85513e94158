import { messageOf } from '../../base/errors.ts';
import type { Container } from './container.ts';
import { deedOf, isForgotten, ruleOf, type Deed, type UnhealthyRecord } from './health/action.ts';
import { publish, type Room } from './room.ts';
import { isLive } from './state.ts';
import { restartContainer, stop } from './life/stop.ts';
import type { HealthView } from './types.ts';

const OWN_WAY = { signal: null, timeoutSeconds: null } as const;

/**
 * Does what the labels ask for after a probe (health/action.ts). A verb that fails is told; the next probe asks again.
 */
export function actOnHealth(room: Room, container: Container, health: HealthView, hasChanged: boolean): void {
  const now = room.clock.now();
  const rule = ruleOf(container.document.spec.labels);
  const record = container.live.unhealthy ?? null;
  if (health.status === 'healthy' && record !== null && isForgotten(rule, record, now)) {
    quietly(room, container, () => container.update({ unhealthy: null }));
  }
  // A user's verb that is under way knows better.
  if (health.status !== 'unhealthy' || container.removing || container.restarting || room.closing) return;
  if (!isLive(container.state) || container.live.desired === 'stopped') return;
  const deed = deedOf(rule, record, { now, hasChanged });
  if (deed === 'wait') return;
  const next = recordAfter(deed, record, now);
  // Written before it is done: an engine that is killed in between must not begin to count anew.
  if (next !== null) quietly(room, container, () => container.update({ unhealthy: next }));
  publish(room, container, `unhealthy_action: ${deed}`, { failingStreak: String(health.failingStreak) });
  if (deed === 'restart') void perform(room, container, restartContainer(room, container, OWN_WAY));
  if (deed === 'stop') void perform(room, container, stop(room, container.id, OWN_WAY));
}

function recordAfter(
  deed: Deed,
  record: UnhealthyRecord | null,
  now: UnhealthyRecord['lastAt'],
): UnhealthyRecord | null {
  if (deed === 'restart') return { restarts: (record?.restarts ?? 0) + 1, lastAt: now, hasGivenUp: false };
  return deed === 'give-up' && record !== null ? { ...record, hasGivenUp: true } : null;
}

async function perform(room: Room, container: Container, verb: Promise<unknown>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    room.logger.error('an unhealthy container could not be dealt with', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}

function quietly(room: Room, container: Container, write: () => void): void {
  try {
    write();
  } catch (error) {
    room.logger.error('what was done about an unhealthy container could not be written down', {
      container: container.id,
      reason: messageOf(error),
    });
  }
}
