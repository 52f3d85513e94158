/**
 * Health: a container's check is probed while it runs (health/); what it tells is part of the view. What is done about a
 * container that is unhealthy lies in unhealthy.ts.
 */
import type { Container } from './container.ts';
import { checkOf } from './health/check.ts';
import { unwatched } from './health/machine.ts';
import { HealthWatch, settleHealth } from './health/watch.ts';
import type { Room } from './room.ts';

/** True where something is checked. */
export function isChecked({ document }: Container): boolean {
  return checkOf(document.spec.healthcheck, document.spec.shell) !== null;
}

/**
 * Begins to probe a container that runs. `new` is a new run; `again` goes on with one that is known: after a pause, and
 * in an engine that has come up again.
 */
export function watchHealth(room: Room, container: Container, run: 'new' | 'again'): void {
  const { spec } = container.document;
  const check = checkOf(spec.healthcheck, spec.shell);
  const { state } = container;
  if (check === null || state.status !== 'running') return;
  container.healthWatch?.[Symbol.dispose]();
  const watch = new HealthWatch(room, container, { check, startedAt: state.startedAt });
  container.healthWatch = watch;
  if (run === 'new') watch.begin();
  else watch.resume();
}

/** Ends the watch of a container, if there is one: what is not probed is not called healthy. */
export function endWatch(room: Room, container: Container): void {
  const { healthWatch } = container;
  if (healthWatch === null) return;
  container.healthWatch = null;
  healthWatch[Symbol.dispose]();
  const { health } = container.live;
  if (health !== undefined) settleHealth(room, container, unwatched(health));
}
