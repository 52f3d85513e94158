import type { EngineEvent } from '../../engine/index.ts';
import type { Filters } from './filters.ts';

/** What dockerd knows to filter events by. */
export const EVENT_FILTERS: readonly string[] = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
];

/** Nouns whose filter is an object's name or id. */
const NOUNS = ['container', 'volume', 'network', 'daemon', 'plugin', 'service', 'node', 'secret', 'config'] as const;

/** Events whose action goes on after a colon. */
const WITH_DETAIL: ReadonlySet<string> = new Set(['health_status', 'exec_create', 'exec_start']);

/** True for events that all filters let through. */
export function eventMatcher(filters: Filters): (event: EngineEvent) => boolean {
  return (event) =>
    matchesAction(filters, event) &&
    filters.any('type', (wish) => event.type === wish) &&
    filters.any('scope', (wish) => wish === 'local') &&
    NOUNS.every((noun) => matchesNoun(filters, noun, event)) &&
    matchesImage(filters, event) &&
    filters.matchLabels(event.attributes);
}

/**
 * `health_status` matches `health_status: healthy`, `exec_create` matches `exec_create: sh`. As dockerd: once one of
 * these is asked for, all that are asked for match by their beginning.
 */
function matchesAction(filters: Filters, { action }: EngineEvent): boolean {
  const isByBeginning = filters.get('event').some((wish) => WITH_DETAIL.has(wish));
  return filters.any('event', (wish) => action === wish || (isByBeginning && action.startsWith(wish)));
}

/** The beginning of an id or a name. As dockerd, whatever the event is of: `container=web` finds a network `web_net` too. */
function matchesNoun(filters: Filters, noun: string, { actorId, attributes }: EngineEvent): boolean {
  const { name = '' } = attributes;
  return filters.any(noun, (wish) => actorId.startsWith(wish) || name.startsWith(wish));
}

/** An image, or a container of that image; with or without tag. */
function matchesImage(filters: Filters, event: EngineEvent): boolean {
  if (!filters.has('image')) return true;
  const { name = '', image = '' } = event.attributes;
  const names = [event.actorId, name, image];
  return filters.any('image', (wish) =>
    names.some((text) => text !== '' && (text === wish || withoutTag(text) === wish)),
  );
}

function withoutTag(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '');
}
