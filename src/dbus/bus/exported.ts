/**
 * What the objects of this interface look like to the dispatcher, and the dispatcher to them.
 *
 *   object     a path with interfaces on it. `objects/<noun>.ts` makes them out of the engine's facade.
 *   handler    decode → one verb of the facade → encode. It is called after polkit has agreed.
 *   tree       all objects; announces what comes, goes and changes.
 *
 * Life of a call: the bus hands in a message; the dispatcher finds path, interface and member, checks the signature
 * against the introspection XML, asks polkit for the action that the XML names (annotation PolkitAction; none: the
 * handler decides; standard methods: visibility.ts), calls the handler, sends the property changes that are due, then the
 * one reply. What a handler throws becomes a D-Bus error by the table in errors.ts.
 *
 * Life of a change: an engine event arrives (synchronously, before the verb that caused it returns); the room that
 * mirrors that noun calls `tree.changed(path)`; the tree reads the properties anew, compares with what it announced
 * last, and sends PropertiesChanged with the difference, before the reply.
 *
 * Values are in the codec's JavaScript shapes: x and t bigint (numbers are taken when sending), other numbers number,
 * ay Buffer, structs and arrays arrays, a{s…} plain objects, v {@link variant}. An `h` is a file descriptor number: one
 * that a handler returns is sent and then closed by the dispatcher; one that it gets is the handler's to close.
 */

/** Somebody on the bus. */
export interface Peer {
  /** The unique bus name. */
  readonly name: string;
  /** False once it has left, or the bus has: on a new bus the name is another's. */
  readonly isHere: boolean;
}

/** One call under way. */
export interface Call {
  /** Who calls; known also when the call is over. */
  readonly caller: Peer;
  /** The caller's uid as the bus knows it. */
  readonly uid: number;
  /** The method's name. */
  readonly member: string;
  /** Aborted when the caller leaves the bus, the bus goes away, or the daemon ends, until the call has its reply. */
  readonly signal: AbortSignal;
  /**
   * Asks polkit for one more action than the XML names (`privileged`, a job's cancel …). Throws ForbiddenError, as the
   * dispatcher does for the action in the XML.
   */
  authorize(action: string, details: Readonly<Record<string, string>>): Promise<void>;
}

/** A method: arguments by the XML's order; returns the out arguments as an array. */
export type MethodHandler = (call: Call, ...args: readonly never[]) => readonly unknown[] | Promise<readonly unknown[]>;

/** What a method without out arguments returns, once the verb is through. */
export async function done(verb: Promise<unknown>): Promise<readonly []> {
  await verb;
  return [];
}

/** One interface on one object. */
export interface ExportedInterface {
  /** `org.moored.Engine1.Container`; its XML lies in introspection/. */
  readonly name: string;
  /** One for each method in the XML: the tree refuses an object that lacks one. */
  readonly methods: Readonly<Record<string, MethodHandler>>;
  /**
   * Properties change without `changed` being called (a file system fills): GetManagedObjects reads them anew. For single
   * objects; of a thousand containers it shows what was told last, and `changed` is called for what is not announced too.
   */
  readonly isVolatile?: boolean;
  /** Every property of the XML with its value now. Synchronous and cheap: it is read at each change. */
  properties(): Readonly<Record<string, unknown>>;
  /**
   * Takes a value for a property that the XML calls readwrite; for root alone. Only LogControl1, which is not ours, has
   * one: properties of this interface change by methods, which polkit judges.
   */
  set?(property: string, value: unknown): void;
  /** Whose it is: that user reads the properties without being asked for the right to. */
  isOwnedBy?(uid: number): boolean;
  /** What polkit rules may look at (`container`, `image`, `label.NAME` …) beside `operation`, the method's name. */
  polkitDetails?(member: string, args: readonly unknown[]): Readonly<Record<string, string>>;
}

export interface ExportedObject {
  readonly path: string;
  readonly interfaces: readonly ExportedInterface[];
}

/** All objects. Everything is safe to call while there is no bus: nothing is announced then, and the state is kept. */
export interface ObjectTree {
  /** Exports and announces (InterfacesAdded). Replaces what was at the path. */
  add(object: ExportedObject): void;
  /** Takes away and announces (InterfacesRemoved); nothing happens when there is none. */
  remove(path: string): void;
  has(path: string): boolean;
  /** Says that properties at the path may have changed; what did is announced before the next reply. */
  changed(path: string): void;
  /**
   * Sends a signal of the object's interface; to one peer alone where a destination is given. Nothing happens when the
   * object or that peer has gone; values that cannot be sent are logged.
   */
  emit(
    path: string,
    interfaceName: string,
    signal: string,
    args: readonly unknown[],
    options?: { readonly destination?: Peer },
  ): void;
}

/** A value with its signature, for `v` and `a{sv}`. */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

export function variant(signature: string, value: unknown): Variant {
  return { signature, value };
}
