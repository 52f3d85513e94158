import { secondsOf } from '../../base/clock.ts';
import type { EngineEvent } from '../../engine/index.ts';

/** One line of `GET /events`, as text: `timeNano` is greater than a double can tell. */
export function eventLine(event: EngineEvent): string {
  const head = {
    ...legacyFields(event),
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.actorId, Attributes: event.attributes },
    scope: 'local',
    time: secondsOf(event.time),
  };
  return `${JSON.stringify(head).slice(0, -1)},"timeNano":${String(event.time)}}\n`;
}

/** The shape of before API 1.22, kept by dockerd for containers and images until 1.52. */
function legacyFields({ type, action, actorId, attributes }: EngineEvent): Record<string, string> {
  if (type !== 'container' && type !== 'image') return {};
  const from = type === 'container' ? attributes['image'] : undefined;
  return {
    status: action,
    ...(actorId === '' ? {} : { id: actorId }),
    ...(from === undefined || from === '' ? {} : { from }),
  };
}
