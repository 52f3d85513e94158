/**
 * All objects and what of them was told. Changes are gathered: an object announces its properties at most ten times a
 * second, and always before the reply to a call.
 */
import { isObjectPathValid } from 'dbus-next/lib/validators.js';
import type { Clock } from '../../base/clock.ts';
import { InternalError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ExportedInterface, ExportedObject, ObjectTree, Peer } from './exported.ts';
import { interfaceInfo } from '../introspection.ts';
import { ROOT } from '../names.ts';
import type { Snapshot } from './snapshot.ts';
import { difference, takeSnapshot, writeAllEntries, writeEntries } from './snapshot.ts';
import type { OutgoingMessage } from './wire/message.ts';
import { Writer } from './wire/writer.ts';
import type { InterfaceInfo } from './xml.ts';

/** At most ten announcements a second an object. */
const ANNOUNCE_INTERVAL_MS = 100;
const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const EMPTY: Snapshot = { bytes: Buffer.alloc(0), spans: [] };

/** An interface on an object, with what it told last. */
export interface TreeInterface {
  readonly info: InterfaceInfo;
  readonly exported: ExportedInterface;
  snapshot: Snapshot;
}

interface TreeObject {
  readonly path: string;
  readonly interfaces: readonly TreeInterface[];
  announcedMs: number;
  /** There when changes wait for their turn. */
  due: Disposable | null;
}

export interface TreeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Tree implements ObjectTree {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #objects = new Map<string, TreeObject>();
  /** Names below each path that has something below it. */
  readonly #children = new Map<string, Set<string>>();
  readonly #dirty = new Set<TreeObject>();
  #send: ((message: OutgoingMessage) => void) | null = null;

  constructor({ clock, logger }: TreeOptions) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Where announcements go; null: nowhere. What changed in between is not told, since nobody can have asked. */
  connect(send: ((message: OutgoingMessage) => void) | null): void {
    this.flush();
    this.#send = send;
  }

  add(object: ExportedObject): void {
    const { path } = object;
    if (!isObjectPathValid(path)) throw new InternalError(`${path} is no object path`);
    const interfaces = object.interfaces.map((exported) => this.#treeInterface(exported));
    this.remove(path);
    const added: TreeObject = { path, interfaces, announcedMs: Number.NEGATIVE_INFINITY, due: null };
    this.#objects.set(path, added);
    this.#linkToParents(path);
    if (!isManaged(path) || this.#send === null) return;
    const writer = new Writer(1024, 'shown');
    writer.text(path);
    writeInterfaces(writer, added);
    this.#announce('InterfacesAdded', 'oa{sa{sv}}', writer);
  }

  remove(path: string): void {
    const object = this.#objects.get(path);
    if (object === undefined) return;
    this.#settle(object);
    this.#objects.delete(path);
    this.#unlinkFromParents(path);
    if (!isManaged(path) || this.#send === null) return;
    const writer = new Writer(undefined, 'shown');
    writer.body('oas', [path, object.interfaces.map(({ info }) => info.name)]);
    this.#announce('InterfacesRemoved', 'oas', writer);
  }

  has(path: string): boolean {
    return this.#objects.has(path);
  }

  changed(path: string): void {
    const object = this.#objects.get(path);
    if (object === undefined || this.#dirty.has(object)) return;
    this.#dirty.add(object);
    // Whoever connects has all of it flushed first: until then it is work for nobody.
    if (this.#send === null) return;
    const waitMs = object.announcedMs + ANNOUNCE_INTERVAL_MS - this.#clock.monotonicMs();
    if (waitMs > 0) object.due = this.#clock.after(waitMs, () => this.#flushObject(object));
    else queueMicrotask(() => this.#flushObject(object));
  }

  emit(
    path: string,
    interfaceName: string,
    signal: string,
    args: readonly unknown[],
    options?: { readonly destination?: Peer },
  ): void {
    const object = this.#objects.get(path);
    const destination = options?.destination;
    // Either may have gone between what happened and the telling.
    if (object === undefined || destination?.isHere === false) return;
    const info = object.interfaces.find((candidate) => candidate.info.name === interfaceName)?.info;
    const declared = info?.signals.get(signal);
    if (declared === undefined) throw new InternalError(`there is no signal ${interfaceName}.${signal} at ${path}`);
    if (this.#send === null) return;
    // Changes come before the signal that goes with them, unless they wait: a storm of signals must not become two.
    if (object.due === null) this.#flushObject(object);
    this.#tell({
      type: 'signal',
      path,
      interface: interfaceName,
      member: signal,
      signature: declared.signature,
      body: args,
      ...(destination === undefined ? {} : { destination: destination.name }),
    });
  }

  /** Announces all changes that wait. */
  flush(): void {
    for (const object of [...this.#dirty]) this.#flushObject(object);
  }

  /** The interfaces of an object; null when there is none at the path. */
  interfacesAt(path: string): readonly TreeInterface[] | null {
    return this.#objects.get(path)?.interfaces ?? null;
  }

  /** Names directly below a path, sorted. */
  childrenOf(path: string): readonly string[] {
    return [...(this.#children.get(path) ?? [])].sort();
  }

  /** The body of GetManagedObjects, `a{oa{sa{sv}}}`. */
  managedObjects(): Buffer {
    this.flush();
    const writer = new Writer(64 * 1024);
    writer.array(8, () => {
      for (const object of this.#objects.values()) {
        if (!isManaged(object.path)) continue;
        this.#refreshVolatile(object);
        writer.align(8);
        writer.text(object.path);
        writeInterfaces(writer, object);
      }
    });
    return writer.finish();
  }

  #treeInterface(exported: ExportedInterface): TreeInterface {
    const info = interfaceInfo(exported.name);
    for (const name of info.methods.keys()) {
      if (exported.methods[name] === undefined) throw new InternalError(`${exported.name}.${name} is not implemented`);
    }
    return { info, exported, snapshot: this.#snapshot(info, exported) };
  }

  /** What the interface says now; what it said `before` when it fails, since nobody here can do anything about it. */
  #snapshot(info: InterfaceInfo, exported: ExportedInterface, before: Snapshot = EMPTY): Snapshot {
    try {
      return takeSnapshot(info, exported, (error) => this.#logger.error(`a property is left out: ${error.message}`));
    } catch (error) {
      this.#logger.error(`the properties of ${info.name} could not be read`, { error: messageOf(error) });
      return before;
    }
  }

  /** What changes without being told is read anew. */
  #refreshVolatile({ interfaces }: TreeObject): void {
    for (const part of interfaces) {
      if (part.exported.isVolatile === true) part.snapshot = this.#snapshot(part.info, part.exported, part.snapshot);
    }
  }

  #flushObject(object: TreeObject): void {
    if (!this.#dirty.has(object)) return;
    this.#settle(object);
    for (const part of object.interfaces) {
      const snapshot = this.#snapshot(part.info, part.exported, part.snapshot);
      const { changed, invalidated } = difference(part.info, part.snapshot, snapshot);
      part.snapshot = snapshot;
      if (changed.length === 0 && invalidated.length === 0) continue;
      object.announcedMs = this.#clock.monotonicMs();
      const writer = new Writer(undefined, 'shown');
      writer.text(part.info.name);
      writeEntries(writer, snapshot, changed);
      writer.array(4, () => invalidated.forEach((name) => writer.text(name)));
      this.#tell({
        type: 'signal',
        path: object.path,
        interface: PROPERTIES,
        member: 'PropertiesChanged',
        signature: 'sa{sv}as',
        bodyBytes: writer.finish(),
      });
    }
  }

  #settle(object: TreeObject): void {
    this.#dirty.delete(object);
    object.due?.[Symbol.dispose]();
    object.due = null;
  }

  #announce(member: string, signature: string, writer: Writer): void {
    const message = { type: 'signal', path: ROOT, interface: OBJECT_MANAGER, member, signature } as const;
    this.#tell({ ...message, bodyBytes: writer.finish() });
  }

  /** Whoever tells something is no part of the bus: a signal that cannot be sent is the log's business. */
  #tell(message: OutgoingMessage): void {
    try {
      this.#send?.(message);
    } catch (error) {
      const { path, interface: name, member } = message;
      this.#logger.error('a D-Bus signal could not be sent', {
        path,
        interface: name,
        member,
        error: messageOf(error),
      });
    }
  }

  #linkToParents(path: string): void {
    for (let child = path; child !== '/'; child = parentOf(child)) {
      const parent = parentOf(child);
      const names = this.#children.get(parent) ?? new Set();
      this.#children.set(parent, names.add(child.slice(child.lastIndexOf('/') + 1)));
    }
  }

  #unlinkFromParents(path: string): void {
    for (let child = path; child !== '/'; child = parentOf(child)) {
      if (this.#objects.has(child) || this.#children.has(child)) return;
      const parent = parentOf(child);
      const names = this.#children.get(parent);
      names?.delete(child.slice(child.lastIndexOf('/') + 1));
      if (names?.size === 0) this.#children.delete(parent);
    }
  }
}

/** What the root's ObjectManager tells of: all below it. */
function isManaged(path: string): boolean {
  return path.startsWith(`${ROOT}/`);
}

function writeInterfaces(writer: Writer, { interfaces }: TreeObject): void {
  writer.array(8, () => {
    for (const { info, snapshot } of interfaces) {
      writer.align(8);
      writer.text(info.name);
      writeAllEntries(writer, snapshot);
    }
  });
}

function parentOf(path: string): string {
  const end = path.lastIndexOf('/');
  return end <= 0 ? '/' : path.slice(0, end);
}
