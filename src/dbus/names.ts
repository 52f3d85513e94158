/** Every name of this interface derives from here: service, interfaces, objects, polkit actions, files. */
import { InvalidArgumentError } from '../base/errors.ts';

export const SERVICE = 'org.moored.Engine1';
/** The object tree's root; carries ObjectManager. */
export const ROOT = '/org/moored/Engine1';

export type NounInterface =
  'Manager' | 'Config' | 'Container' | 'Image' | 'Network' | 'Volume' | 'Job' | 'Exec' | 'Schedule';

/** `org.moored.Engine1.Container` */
export function interfaceName(noun: NounInterface): string {
  return `${SERVICE}.${noun}`;
}

/** One polkit action for each class of verbs; see systemd/polkit. */
export type PolkitAction =
  | 'inspect'
  | 'manage-containers'
  | 'run-container'
  | 'exec'
  | 'manage-images'
  | 'build'
  | 'manage-networks'
  | 'manage-volumes'
  | 'manage-secrets'
  | 'prune'
  | 'configure'
  | 'manage-engine';

export const MANAGER_PATH = `${ROOT}/Manager`;
export const CONFIG_PATH = `${ROOT}/Config`;

/** Path of an object whose id is legal as it is (64 hex digits, or a number). */
export function pathOf(kind: 'container' | 'image' | 'network' | 'job', id: string): string {
  return `${ROOT}/${kind}/${id}`;
}

/** The id in such a path. InvalidArgumentError for another object's. */
export function idOfPath(kind: 'container', path: string): string {
  const prefix = pathOf(kind, '');
  if (!path.startsWith(prefix)) throw new InvalidArgumentError(`${path} is no ${kind}`);
  return path.slice(prefix.length);
}

/** Path of an image, by its id `sha256:…`. */
export function imagePath(id: string): string {
  return pathOf('image', id.slice(id.indexOf(':') + 1));
}

/** Path of an exec below its container. */
export function execPath(containerId: string, execId: string): string {
  return `${pathOf('container', containerId)}/exec/${execId}`;
}

/** Path of a named object: the name is escaped as sd_bus_path_encode does. */
export function namedPath(kind: 'volume' | 'schedule', name: string): string {
  return `${ROOT}/${kind}/${escapePathElement(name)}`;
}

/** `_` and two hex digits for every byte but letters and digits, and for a digit at the start; `_` alone for ''. */
export function escapePathElement(text: string): string {
  if (text === '') return '_';
  const bytes = Buffer.from(text, 'utf8');
  return [...bytes]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      const isLegal = index === 0 ? /[A-Za-z]/.test(character) : /[A-Za-z0-9]/.test(character);
      return isLegal ? character : `_${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}
