/** Who uses what: containers by the image, the volumes and the networks that they have. */
import type { ContainerId } from '../base/ids.ts';
import type { ContainerChange, ContainerView, Engine } from '../engine/index.ts';
import { pathOf } from './names.ts';

export type UsedKind = 'image' | 'volume' | 'network';

/** Told when the users of a thing are others than before: an image's id, a volume's name, a network's id. */
export type UsersListener = (kind: UsedKind, key: string) => void;

/**
 * The way back from images, volumes and networks to their containers, kept current at each change of a container, so that
 * nobody looks through all containers to answer for one volume.
 */
export class ContainerUsers implements Disposable {
  readonly #engine: Pick<Engine, 'containers'>;
  readonly #uses = new Map<ContainerId, ReadonlySet<string>>();
  readonly #users = new Map<string, Set<string>>();
  readonly #listeners = new Set<UsersListener>();
  readonly #watching: Disposable;

  constructor(engine: Pick<Engine, 'containers'>) {
    this.#engine = engine;
    this.#watching = engine.containers.watch((change) => this.#onChange(change));
    for (const view of engine.containers.list()) this.#set(view.id, usesOf(view));
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]();
  }

  /** Paths of the containers that use it, in order of their path. */
  of(kind: UsedKind, key: string): readonly string[] {
    return [...(this.#users.get(`${kind} ${key}`) ?? [])].sort();
  }

  listen(listener: UsersListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #onChange({ kind, containerId }: ContainerChange): void {
    if (kind === 'removed') this.#set(containerId, new Set());
    else if (kind === 'added' || kind === 'changed') {
      this.#set(containerId, usesOf(this.#engine.containers.get(containerId)));
    }
  }

  #set(id: ContainerId, uses: ReadonlySet<string>): void {
    const before = this.#uses.get(id) ?? new Set<string>();
    if (uses.size === 0) this.#uses.delete(id);
    else this.#uses.set(id, uses);
    const path = pathOf('container', id);
    for (const key of before.difference(uses)) this.#change(key, (users) => users.delete(path));
    for (const key of uses.difference(before)) this.#change(key, (users) => users.add(path));
  }

  #change(use: string, change: (users: Set<string>) => void): void {
    const users = this.#users.get(use) ?? new Set();
    change(users);
    if (users.size === 0) this.#users.delete(use);
    else this.#users.set(use, users);
    const space = use.indexOf(' ');
    for (const listener of this.#listeners) listener(use.slice(0, space) as UsedKind, use.slice(space + 1));
  }
}

function usesOf({ imageId, mounts, endpoints }: ContainerView): ReadonlySet<string> {
  return new Set([
    `image ${imageId}`,
    ...mounts.flatMap(({ kind, name }) => (kind === 'volume' && name !== null ? [`volume ${name}`] : [])),
    ...endpoints.map(({ networkId }) => `network ${networkId}`),
  ]);
}
