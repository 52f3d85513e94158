import type { Engine } from '../../engine/index.ts';
import type { ContainerUsers } from '../container-users.ts';
import type { ExportedInterface, ObjectTree } from '../bus/exported.ts';

/** A kind of things that come and go by events, and show which containers use them. */
export interface MirroredNoun<T> {
  readonly type: 'network' | 'volume';
  readonly list: () => readonly T[];
  /** By what events call it: a network's id, a volume's name. */
  readonly get: (key: string) => T;
  readonly keyOf: (thing: T) => string;
  readonly pathOf: (key: string) => string;
  readonly interfaceOf: (thing: T) => ExportedInterface;
}

export interface MirrorGround {
  readonly engine: Pick<Engine, 'events'>;
  readonly tree: ObjectTree;
  readonly users: ContainerUsers;
}

/** Puts every one of them into the tree and keeps it there as it is, until disposed. */
export function mirrorNoun<T>({ engine, tree, users }: MirrorGround, noun: MirroredNoun<T>): Disposable {
  using watching = new DisposableStack();
  const add = (thing: T): void => {
    tree.add({ path: noun.pathOf(noun.keyOf(thing)), interfaces: [noun.interfaceOf(thing)] });
  };
  watching.use(
    engine.events.listen(({ type, action, actorId }) => {
      if (type !== noun.type) return;
      if (action === 'create') add(noun.get(actorId));
      if (action === 'destroy') tree.remove(noun.pathOf(actorId));
    }),
  );
  watching.use(
    users.listen((kind, key) => {
      if (kind === noun.type) tree.changed(noun.pathOf(key));
    }),
  );
  for (const thing of noun.list()) add(thing);
  return watching.move();
}
