import type { PackItem } from '../tar/stream.ts';
import type { Scaffold } from '../tree/scaffold.ts';

/** Leaves out what the engine made to mount something on: its empty files, and its directories with nothing else in them. */
export function* withoutScaffold(items: Iterable<PackItem>, scaffold: Scaffold): Generator<PackItem, void, void> {
  // Directories of the engine's on the way to the present item; sent with the first thing in them that is not its own.
  const held: PackItem[] = [];
  for (const item of items) {
    while (held.length > 0 && !item.name.startsWith(`${held.at(-1)?.name ?? ''}/`)) held.pop();
    if (item.kind === 'node' && scaffold.has(item.name, item.info)) {
      if (item.info.isDirectory()) held.push(item);
      continue;
    }
    yield* held.splice(0);
    yield item;
  }
}
