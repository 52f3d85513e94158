import type { Call, ExportedObject, ObjectTree, Peer } from '../../src/dbus/bus/exported.ts';

/** A signal that a tree sent. */
export interface SentSignal {
  readonly path: string;
  readonly interfaceName: string;
  readonly signal: string;
  readonly args: readonly unknown[];
  readonly destination: string | null;
}

/** An object tree without a bus: keeps the objects, records what is announced, reads properties anew at each change. */
export class RecordingTree implements ObjectTree {
  readonly objects = new Map<string, ExportedObject>();
  readonly signals: SentSignal[] = [];
  /** `added`, `removed` or `changed`, with what was different. */
  readonly announced: { readonly kind: string; readonly path: string; readonly values: Record<string, unknown> }[] = [];
  readonly #last = new Map<string, string>();

  add(object: ExportedObject): void {
    this.objects.set(object.path, object);
    const values = this.properties(object.path);
    this.announced.push({ kind: 'added', path: object.path, values });
    for (const [name, value] of Object.entries(values)) this.#last.set(`${object.path} ${name}`, textOf(value));
  }

  remove(path: string): void {
    if (this.objects.delete(path)) this.announced.push({ kind: 'removed', path, values: {} });
  }

  has(path: string): boolean {
    return this.objects.has(path);
  }

  changed(path: string): void {
    const values: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(this.objects.has(path) ? this.properties(path) : {})) {
      const key = `${path} ${name}`;
      if (this.#last.get(key) === textOf(value)) continue;
      this.#last.set(key, textOf(value));
      values[name] = value;
    }
    if (Object.keys(values).length > 0) this.announced.push({ kind: 'changed', path, values });
  }

  emit(
    path: string,
    interfaceName: string,
    signal: string,
    args: readonly unknown[],
    options: { readonly destination?: Peer } = {},
  ): void {
    if (options.destination?.isHere === false) return;
    this.signals.push({ path, interfaceName, signal, args, destination: options.destination?.name ?? null });
  }

  /** All properties of an object's interfaces. */
  properties(path: string): Record<string, unknown> {
    return Object.assign({}, ...this.#object(path).interfaces.map((each) => each.properties())) as Record<
      string,
      unknown
    >;
  }

  /** Calls a method as the dispatcher would after polkit agreed. */
  async call(path: string, member: string, args: readonly unknown[], call: Call): Promise<readonly unknown[]> {
    const method = this.#object(path)
      .interfaces.map(({ methods }) => methods[member])
      .find((found) => found !== undefined);
    if (method === undefined) throw new Error(`${path} has no method ${member}`);
    return method({ ...call, member }, ...(args as never[]));
  }

  /** The signals of one name, in order. */
  sent(signal: string): readonly SentSignal[] {
    return this.signals.filter((each) => each.signal === signal);
  }

  #object(path: string): ExportedObject {
    const object = this.objects.get(path);
    if (object === undefined) throw new Error(`no object at ${path}`);
    return object;
  }
}

/** A caller that polkit lets do everything, unless `authorize` says otherwise. */
export function callOf(options: Partial<Call> = {}): Call {
  return {
    caller: { name: ':1.1', isHere: true },
    uid: 0,
    member: '',
    signal: new AbortController().signal,
    authorize: () => Promise.resolve(),
    ...options,
  };
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? `${String(each)}n` : each));
}
