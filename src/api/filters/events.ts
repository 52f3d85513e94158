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

/** True for events that all filters let through. */
export function eventMatcher(filters: Filters): (event: EngineEvent) => boolean {
  return (event) =>
    // `health_status` matches `health_status: healthy`, `exec_create` matches `exec_create: sh`.
    filters.any('event', (wish) => event.action === wish || event.action.split(':', 1)[0] === wish) &&
    filters.any('type', (wish) => event.type === wish) &&
    filters.any('scope', (wish) => wish === 'local') &&
    NOUNS.every((noun) => matchesNoun(filters, noun, event)) &&
    matchesImage(filters, event) &&
    filters.matchLabels(event.attributes);
}

function matchesNoun(filters: Filters, noun: string, event: EngineEvent): boolean {
  if (!filters.has(noun)) return true;
  if (event.type !== noun) return false;
  const { name = '' } = event.attributes;
  return filters.any(
    noun,
    (wish) => event.actorId.startsWith(wish) || name === wish || name === wish.replace(/^\//, ''),
  );
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
