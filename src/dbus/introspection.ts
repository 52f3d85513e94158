/**
 * The golden documents: what an interface has, and what introspection answers. One file an interface in introspection/,
 * read when first asked for; an installed daemon has the same folder.
 */
import { readFileSync } from 'node:fs';
import { InternalError } from '../base/errors.ts';
import { SERVICE } from './names.ts';
import {
  INTROSPECTABLE_XML,
  LOG_CONTROL_XML,
  OBJECT_MANAGER_XML,
  PEER_XML,
  PROPERTIES_XML,
} from './bus/standard-interfaces.ts';
import type { InterfaceInfo } from './bus/xml.ts';
import { parseIntrospection } from './bus/xml.ts';

/** Where the documents lie: two folders deep, as every file of a checkout and of the bundle (bin/bundle). */
export const INTROSPECTION_FOLDER = new URL('../dbus/introspection/', import.meta.url);

const STANDARD: Readonly<Record<string, string>> = {
  'org.freedesktop.DBus.Peer': PEER_XML,
  'org.freedesktop.DBus.Introspectable': INTROSPECTABLE_XML,
  'org.freedesktop.DBus.Properties': PROPERTIES_XML,
  'org.freedesktop.DBus.ObjectManager': OBJECT_MANAGER_XML,
  'org.freedesktop.LogControl1': LOG_CONTROL_XML,
};

const known = new Map<string, InterfaceInfo>();

/** An interface by its name; throws InternalError when there is no document of it. */
export function interfaceInfo(name: string): InterfaceInfo {
  const found = known.get(name) ?? load(name);
  known.set(name, found);
  return found;
}

function load(name: string): InterfaceInfo {
  const standard = STANDARD[name];
  const info =
    standard === undefined
      ? parseIntrospection(read(name)).find((candidate) => candidate.name === name)
      : parseIntrospection(`<node>${standard}</node>`)[0];
  if (info === undefined) throw new InternalError(`the introspection document of ${name} does not tell of it`);
  return info;
}

function read(name: string): string {
  if (!name.startsWith(`${SERVICE}.`)) throw new InternalError(`there is no interface ${name}`);
  try {
    return readFileSync(new URL(`${name}.xml`, INTROSPECTION_FOLDER), 'utf8');
  } catch (cause) {
    throw new InternalError(`the introspection document of ${name} cannot be read`, { cause });
  }
}
