/**
 * Who sees what. Everybody may ping, and read the documents of the interfaces; what there is (names, properties, all
 * objects) is for those who hold the polkit action `inspect`, as REST shows it only to those who may open its socket. Who
 * may not look is told the same of what is there and of what is not.
 */
import { ForbiddenError } from '../../base/errors.ts';
import type { ExportedInterface } from './exported.ts';
import { interfaceInfo } from '../introspection.ts';
import { interfaceName, ROOT, SERVICE, type NounInterface } from '../names.ts';
import type { Tree } from './tree.ts';
import type { IncomingMessage } from './wire/message.ts';
import type { MethodInfo } from './xml.ts';

const POLKIT_ANNOTATION = `${SERVICE}.PolkitAction`;

/** Objects of which there are many, by the folder that they lie in. */
const NOUNS: Readonly<Record<string, NounInterface>> = {
  container: 'Container',
  exec: 'Exec',
  image: 'Image',
  network: 'Network',
  volume: 'Volume',
  schedule: 'Schedule',
  job: 'Job',
};

/** A folder of objects, or something below one: that there is such a thing is not for everybody. */
export function isHidden(path: string): boolean {
  return /^\/[^/]+\/./.test(belowRoot(path));
}

/** The interface that an object at the path has, whether there is one or not; null where there can be none. */
export function nounAt(path: string): NounInterface | null {
  const [, folder = '', , subfolder, exec, ...rest] = belowRoot(path).split('/');
  if (subfolder === undefined) return Object.hasOwn(NOUNS, folder) ? (NOUNS[folder] ?? null) : null;
  return folder === 'container' && subfolder === 'exec' && exec !== undefined && rest.length === 0 ? 'Exec' : null;
}

/** The action that a method asks for; null: none. */
export function actionOf({ annotations }: MethodInfo): string | null {
  return annotations.get(POLKIT_ANNOTATION) ?? null;
}

/** What a call would have had to be allowed to do, had there been something at its path. */
export function actionMeant({ interface: name = '', member = '' }: IncomingMessage): string {
  const isOurs = Object.values(NOUNS).some((noun) => interfaceName(noun) === name);
  const method = isOurs ? interfaceInfo(name).methods.get(member) : undefined;
  return (method === undefined ? null : actionOf(method)) ?? `${SERVICE}.inspect`;
}

/** Asks polkit; throws ForbiddenError for a no. */
export type Ask = (action: string, details: Readonly<Record<string, string>>) => Promise<void>;

/**
 * Whether a caller of a standard method sees what is hidden. Throws ForbiddenError where there is nothing to answer for one
 * who does not.
 */
export async function seesHidden(
  tree: Tree,
  { path = '' }: IncomingMessage,
  { method, uid, ask }: { readonly method: MethodInfo; readonly uid: () => Promise<number>; readonly ask: Ask },
): Promise<boolean> {
  switch (method.name) {
    case 'Ping':
    case 'GetMachineId':
      return false;
    case 'Introspect':
      return isPlain(tree, path) || (await mayLook(ask, path));
    default: {
      if (!path.startsWith(ROOT)) return true;
      const parts = (tree.interfacesAt(path) ?? []).map(({ exported }) => exported);
      const caller = await uid();
      if (!parts.some((part) => part.isOwnedBy?.(caller) === true)) {
        await ask(`${SERVICE}.inspect`, detailsOf(parts, method.name));
      }
      return true;
    }
  }
}

/** A document that is the same for everybody: nothing lies below, or nothing that would have to be hidden. */
function isPlain(tree: Tree, path: string): boolean {
  const children = tree.childrenOf(path);
  if (children.length === 0) return !isHidden(path) || tree.interfacesAt(path) !== null;
  return !isHidden(`${path}/${children[0] ?? ''}`);
}

async function mayLook(ask: Ask, path: string): Promise<boolean> {
  try {
    await ask(`${SERVICE}.inspect`, {});
    return true;
  } catch (error) {
    if (error instanceof ForbiddenError && (!isHidden(path) || nounAt(path) !== null)) return false;
    throw error;
  }
}

function detailsOf(parts: readonly ExportedInterface[], member: string): Readonly<Record<string, string>> {
  return Object.assign({}, ...parts.map((part) => part.polkitDetails?.(member, []) ?? {})) as Record<string, string>;
}

function belowRoot(path: string): string {
  return path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length) : '';
}
