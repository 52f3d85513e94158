import type { ContainerId, ExecId } from '../../base/ids.ts';
import type { ImageId } from '../oci/digest.ts';
import type { Container } from './container.ts';
import type { Exec } from './exec/record.ts';
import { legacyLinksOf } from './setup/link-names.ts';
import type { ContainerChange } from './types.ts';
import { ambiguousPrefix, nameInUse, noSuchContainer } from './errors.ts';

const MIN_PREFIX = /^[0-9a-f]{1,63}$/;

/** All containers by id and by name. Names are taken before a container exists, so that two creates cannot race. */
export class Registry {
  readonly #byId = new Map<ContainerId, Container>();
  readonly #idByName = new Map<string, ContainerId>();
  readonly #ownerOfExec = new Map<ExecId, Container>();
  readonly #tell: (change: ContainerChange) => void;

  constructor(tell: (change: ContainerChange) => void = () => undefined) {
    this.#tell = tell;
  }

  /** Takes a name. ConflictError in Docker's words when somebody has it. */
  reserveName(name: string, id: ContainerId): void {
    const owner = this.#idByName.get(name);
    if (owner !== undefined) throw nameInUse(name, owner);
    this.#idByName.set(name, id);
  }

  releaseName(name: string): void {
    this.#idByName.delete(name);
  }

  hasName(name: string): boolean {
    return this.#idByName.has(name);
  }

  /** Adds a container whose name was reserved. */
  add(container: Container): void {
    this.#byId.set(container.id, container);
    this.#tell({ kind: 'added', containerId: container.id });
  }

  delete(container: Container): void {
    this.#byId.delete(container.id);
    if (this.#idByName.get(container.name) === container.id) this.#idByName.delete(container.name);
    for (const execId of container.execs.keys()) this.#ownerOfExec.delete(execId);
    this.#tell({ kind: 'removed', containerId: container.id });
  }

  /** By full id, then name (with or without `/`) or link (`holder/alias`), then unique id prefix: Docker's order. */
  resolve(ref: string): Container {
    const container = this.find(ref);
    if (container === null) throw noSuchContainer(ref);
    return container;
  }

  /** Null when nothing matches; InvalidArgumentError when a prefix is ambiguous. */
  find(ref: string): Container | null {
    const byId = this.#byId.get(ref as ContainerId);
    if (byId !== undefined) return byId;
    const name = ref.startsWith('/') ? ref.slice(1) : ref;
    if (name.includes('/')) return this.#linked(name);
    const id = this.#idByName.get(name);
    const byName = id === undefined ? undefined : this.#byId.get(id);
    if (byName !== undefined) return byName;
    if (!MIN_PREFIX.test(ref)) return null;
    const matches = this.all().filter((container) => container.id.startsWith(ref));
    if (matches.length > 1) throw ambiguousPrefix(ref);
    return matches[0] ?? null;
  }

  /** What `holder/alias` leads to. */
  #linked(fullName: string): Container | null {
    const cut = fullName.indexOf('/');
    const holderId = this.#idByName.get(fullName.slice(0, cut));
    const holder = holderId === undefined ? undefined : this.#byId.get(holderId);
    const link = holder && legacyLinksOf(holder.document).find(({ alias }) => alias === fullName.slice(cut + 1));
    return (link && this.#byId.get(link.ref as ContainerId)) ?? null;
  }

  addExec(container: Container, exec: Exec): void {
    container.execs.set(exec.id, exec);
    this.#ownerOfExec.set(exec.id, container);
  }

  /** False when it is gone already, with its container. */
  deleteExec(id: ExecId): boolean {
    return (this.#ownerOfExec.get(id)?.execs.delete(id) ?? false) && this.#ownerOfExec.delete(id);
  }

  /** The exec with its container; null when there is none. */
  findExec(id: ExecId): { readonly container: Container; readonly exec: Exec } | null {
    const container = this.#ownerOfExec.get(id);
    const exec = container?.execs.get(id);
    return container === undefined || exec === undefined ? null : { container, exec };
  }

  get(id: ContainerId): Container | null {
    return this.#byId.get(id) ?? null;
  }

  /** In no order. */
  all(): readonly Container[] {
    return [...this.#byId.values()];
  }

  usersOf(imageId: ImageId): readonly Container[] {
    return this.all().filter(
      ({ document }) =>
        document.imageId === imageId ||
        document.mounts.some(({ kind, source }) => kind === 'image' && source === imageId),
    );
  }
}
