import type { LogFields, Logger } from '../../base/logger.ts';
import type { EngineEvent, Events } from '../../engine/events/types.ts';
import type { MessageName } from './message-ids.ts';

/** What is said of a container's life, by the action of its event; `%` is its name. */
const WORDS: Readonly<Record<string, readonly [text: string, message: MessageName]>> = {
  create: ['container % created', 'container-create'],
  start: ['container % started', 'container-start'],
  die: ['container % ended', 'container-die'],
  oom: ['container % ran out of memory', 'container-oom'],
  kill: ['signal sent to container %', 'container-kill'],
  stop: ['container % stopped', 'container-stop'],
  restart: ['container % restarted', 'container-restart'],
  pause: ['container % paused', 'container-pause'],
  unpause: ['container % unpaused', 'container-unpause'],
  rename: ['container renamed to %', 'container-rename'],
  destroy: ['container % removed', 'container-destroy'],
};

/** Attributes worth a field. Labels are among the attributes as well, and may hold anything. */
const FIELDS: readonly (readonly [attribute: string, field: string])[] = [
  ['name', 'containerName'],
  ['image', 'containerImage'],
  ['exitCode', 'exitCode'],
  ['signal', 'signal'],
  ['oldName', 'oldName'],
];

/** Writes the life of containers into the log, so that the journal has the engine's words beside the container's. */
export function logLifeEvents(events: Pick<Events, 'listen'>, logger: Logger): Disposable {
  return events.listen((event) => {
    if (event.type !== 'container') return;
    const health = /^health_status: (.+)$/.exec(event.action)?.[1];
    const deed = /^unhealthy_action: (.+)$/.exec(event.action)?.[1];
    const words = health !== undefined ? HEALTH : deed !== undefined ? UNHEALTHY_ACTION : WORDS[event.action];
    if (words === undefined) return;
    const [pattern, message] = words;
    const text = pattern.replace('%', () => event.attributes['name'] ?? event.actorId);
    const more = { ...(health === undefined ? {} : { health }), ...(deed === undefined ? {} : { action: deed }) };
    const fields = { message, containerId: event.actorId, ...fieldsOf(event), ...more };
    if (event.action === 'oom' || health === 'unhealthy' || deed !== undefined) logger.warn(text, fields);
    else logger.info(text, fields);
  });
}

const HEALTH = ['health of container % changed', 'container-health'] as const;
const UNHEALTHY_ACTION = ['container % is unhealthy, as its labels say', 'container-unhealthy-action'] as const;

function fieldsOf({ attributes }: EngineEvent): LogFields {
  return Object.fromEntries(
    FIELDS.flatMap(([attribute, field]) =>
      Object.hasOwn(attributes, attribute) ? [[field, attributes[attribute]]] : [],
    ),
  );
}
