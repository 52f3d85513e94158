/** What happened, asked for and told. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { EngineEvent } from '../../../engine/index.ts';
import type { Dictionary } from '../../bus/dictionary.ts';
import type { Call } from '../../bus/exported.ts';
import { filterWordsOf } from '../../words/filter-words.ts';
import { timestampOf, usecOf } from '../../bus/times.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function eventMethods({ engine, words, streams, clock }: ManagerParts): Methods {
  return {
    GetEvents: async (call: Call, since: bigint, until: bigint, given: Dictionary) => {
      if (until !== 0n && since > until) throw new InvalidArgumentError('since cannot be after until');
      const now = clock.now();
      const end = until === 0n ? now : timestampOf(until);
      const events = engine.events.subscribe({
        since: timestampOf(since),
        // What is still to come is not recorded yet.
        until: end < now ? end : now,
        matches: words.eventMatcher(filterWordsOf(given)),
        signal: call.signal,
      });
      const rows: unknown[] = [];
      for await (const { time, type, action, actorId, attributes } of events) {
        rows.push([usecOf(time), type, action, actorId, attributes]);
      }
      return [rows];
    },
    OpenEvents: (_call: Call, given: Dictionary) => {
      const matches = words.eventMatcher(filterWordsOf(given));
      const fd = streams.send(async (client) => {
        const { signal } = client;
        for await (const event of engine.events.subscribe({ since: null, until: null, matches, signal })) {
          await client.write(Buffer.from(words.eventLine(event)));
        }
      });
      return [fd];
    },
  };
}

/**
 * Attributes that a broadcast may carry, by type and verb: names of things and how they ended. A label has no place in the
 * table, and one of the same name is overwritten by the engine's own attribute wherever the table has it.
 */
const PUBLIC_ATTRIBUTES: Readonly<Record<EngineEvent['type'], Readonly<Record<string, readonly string[]>>>> = {
  container: {
    '*': ['image', 'name'],
    die: ['exitCode', 'execDuration'],
    kill: ['signal'],
    rename: ['oldName'],
    exec_create: ['execID'],
    exec_start: ['execID'],
    exec_die: ['execID', 'exitCode'],
  },
  image: { '*': ['name'] },
  network: { '*': ['name', 'type', 'container'] },
  volume: { '*': ['driver'], mount: ['container', 'destination', 'propagation', 'read/write'], unmount: ['container'] },
  secret: { '*': ['name'] },
  daemon: { '*': [] },
  builder: { prune: ['reclaimed'] },
};

/** Arguments of signal `Event`: an exec's command line stays out of the action, and labels out of the attributes. */
export function eventSignalArgs({ time, type, action, actorId, attributes }: EngineEvent): readonly unknown[] {
  const verb = action.startsWith('exec_') ? action.replace(/:.*$/s, '') : action;
  const allowed = PUBLIC_ATTRIBUTES[type];
  const names = [...(allowed['*'] ?? []), ...(Object.hasOwn(allowed, verb) ? (allowed[verb] ?? []) : [])];
  const shown = names.flatMap((name) => {
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  return [usecOf(time), type, verb, actorId, Object.fromEntries(shown)];
}
