/** What every object of a bus answers: Peer, Introspectable, Properties, and ObjectManager at the root. */
import { readFileSync } from 'node:fs';
import { BusError, standardErrorName } from './errors.ts';
import { interfaceInfo } from '../introspection.ts';
import { interfaceName, ROOT } from '../names.ts';
import { writeProperty } from './snapshot.ts';
import { DOCTYPE, INTROSPECTABLE_XML, OBJECT_MANAGER_XML, PEER_XML, PROPERTIES_XML } from './standard-interfaces.ts';
import type { Tree, TreeInterface } from './tree.ts';
import { isHidden, nounAt } from './visibility.ts';
import type { IncomingMessage } from './wire/message.ts';
import { Writer } from './wire/writer.ts';
import type { Variant } from './exported.ts';
import type { MethodInfo } from './xml.ts';

/** A body that is written. */
export interface WrittenBody {
  readonly signature: string;
  readonly bytes: Buffer;
}

const PEER = 'org.freedesktop.DBus.Peer';
const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';

/** The standard method that a call means, or null. */
export function standardMethod(
  tree: Tree,
  { path = '', interface: name, member = '' }: IncomingMessage,
): MethodInfo | null {
  const carried = [PEER];
  const couldBe = isHidden(path) && nounAt(path) !== null;
  if (path === '/' || path === ROOT || couldBe || isInTree(tree, path)) carried.push(INTROSPECTABLE);
  if (tree.interfacesAt(path) !== null || path === ROOT) carried.push(PROPERTIES);
  if (path === ROOT) carried.push(OBJECT_MANAGER);
  for (const candidate of carried) {
    const method = name === undefined || name === candidate ? interfaceInfo(candidate).methods.get(member) : undefined;
    if (method !== undefined) return method;
  }
  return null;
}

function isInTree(tree: Tree, path: string): boolean {
  return tree.interfacesAt(path) !== null || tree.childrenOf(path).length > 0;
}

/** Who asks. */
export interface StandardCaller {
  readonly uid: number;
  /** Whether what there is may show, beside what the documents say. */
  readonly seesAll: boolean;
}

/** Answers a call that {@link standardMethod} knows; its arguments, and who may call it, have been checked. */
export function answerStandard(
  tree: Tree,
  { path = '', member, body }: IncomingMessage,
  { uid, seesAll }: StandardCaller,
): WrittenBody {
  switch (member) {
    case 'Introspect':
      return written('s', [seesAll ? introspect(tree, path) : introspectUnseen(path)]);
    case 'GetMachineId':
      return written('s', [machineId()]);
    case 'GetManagedObjects':
      return { signature: 'a{oa{sa{sv}}}', bytes: tree.managedObjects() };
    case 'Get':
      return getProperty(tree, path, String(body[0]), String(body[1]));
    case 'GetAll':
      return getAll(tree, path, String(body[0]));
    case 'Set':
      setProperty(tree, path, body as readonly [string, string, Variant], uid);
      return written('', []);
    default:
      return written('', []);
  }
}

function written(signature: string, body: readonly unknown[]): WrittenBody {
  const writer = new Writer(undefined, 'shown');
  writer.body(signature, body);
  return { signature, bytes: writer.finish() };
}

function introspect(tree: Tree, path: string): string {
  const interfaces = tree.interfacesAt(path);
  const children = tree.childrenOf(path);
  if (interfaces === null && children.length === 0 && isHidden(path)) {
    throw new BusError(standardErrorName('UnknownObject'), `there is no object ${path}`);
  }
  const own = (interfaces ?? []).map(({ info }) => info.text);
  if (interfaces !== null || path === ROOT) own.unshift(PROPERTIES_XML);
  if (path === ROOT) own.push(OBJECT_MANAGER_XML);
  return document([...own, ...children.map((name) => `<node name="${name}"/>`)]);
}

/** What a path of this shape would show: an object that may be there or not, or a folder with nothing to be seen in it. */
function introspectUnseen(path: string): string {
  const noun = isHidden(path) ? nounAt(path) : null;
  if (noun !== null) return document([PROPERTIES_XML, interfaceInfo(interfaceName(noun)).text]);
  return document([]);
}

function document(parts: readonly string[]): string {
  const all = [PEER_XML, INTROSPECTABLE_XML, ...parts];
  return `${DOCTYPE}<node>\n${all.map((part) => `  ${part}\n`).join('')}</node>\n`;
}

/** The machine's id, the same for all services on it. */
function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    throw new BusError(standardErrorName('Failed'), 'this machine has no /etc/machine-id');
  }
}

function getProperty(tree: Tree, path: string, interfaceName: string, property: string): WrittenBody {
  const writer = new Writer(undefined, 'shown');
  for (const { info, exported } of carriers(tree, path, interfaceName)) {
    if (writeProperty(writer, info, exported, property)) return { signature: 'v', bytes: writer.finish() };
  }
  throw unknownProperty(interfaceName, property);
}

function getAll(tree: Tree, path: string, interfaceName: string): WrittenBody {
  const parts = carriers(tree, path, interfaceName);
  const writer = new Writer(1024, 'shown');
  writer.array(8, () => {
    for (const { info, exported } of parts) {
      for (const name of info.properties.keys()) {
        writer.align(8);
        writer.text(name);
        writeProperty(writer, info, exported, name);
      }
    }
  });
  return { signature: 'a{sv}', bytes: writer.finish() };
}

/** All properties of this interface are read-only: a Set cannot be judged by value and carries no options. */
function setProperty(tree: Tree, path: string, body: readonly [string, string, Variant], uid: number): void {
  const [interfaceName, property, value] = body;
  for (const { info, exported } of carriers(tree, path, interfaceName)) {
    const declared = info.properties.get(property);
    if (declared === undefined) continue;
    if (declared.access === 'read' || exported.set === undefined) {
      throw new BusError(standardErrorName('PropertyReadOnly'), `${property} is read-only: methods change it`);
    }
    if (uid !== 0) throw new BusError(standardErrorName('AccessDenied'), `only root may set ${property}`);
    if (value.signature !== declared.type) {
      throw new BusError(standardErrorName('InvalidArgs'), `${property} is of type '${declared.type}'`);
    }
    exported.set(property, value.value);
    return;
  }
  throw unknownProperty(interfaceName, property);
}

/** The interfaces meant: one by name, or all when the name is empty. */
function carriers(tree: Tree, path: string, interfaceName: string): readonly TreeInterface[] {
  const all = tree.interfacesAt(path) ?? [];
  if (interfaceName === '') return all;
  const named = all.filter(({ info }) => info.name === interfaceName);
  const isStandard = [PEER, INTROSPECTABLE, PROPERTIES, OBJECT_MANAGER].includes(interfaceName);
  if (named.length === 0 && !isStandard) {
    throw new BusError(standardErrorName('UnknownInterface'), `there is no interface ${interfaceName} at ${path}`);
  }
  return named;
}

function unknownProperty(interfaceName: string, property: string): BusError {
  return new BusError(standardErrorName('UnknownProperty'), `there is no property ${interfaceName}.${property}`);
}
