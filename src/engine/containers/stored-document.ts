/**
 * How what was asked for lies in the state file: as it is, but for ports by the thousand, which are written short
 * (base/runs.ts). SQLite writes a row anew as a whole whenever its state changes, so long documents cost at every step.
 */
import { packRuns, unpackRuns, type Run } from '../../base/runs.ts';
import { equalBindings, equalContainerPorts, shiftBinding, shiftContainerPort } from '../network/stored-sandbox.ts';
import type { ContainerPort, PortBinding } from '../network/types.ts';
import type { ContainerSpec, FrontDocument } from './spec-types.ts';

/** Fewer are left as they are. */
const LEAST_PORTS = 64;

type Shortened<T> = readonly (T | Run<T>)[];

/** What a document has of ports. */
interface Publishing {
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
}

/** A document as JSON; what older versions wrote is the same without what is written short. */
export type StoredDocument<T extends Publishing> = T & {
  readonly short?: {
    readonly exposedPorts?: Shortened<ContainerPort>;
    readonly portBindings?: Shortened<PortBinding>;
    /** The front's own words say just the first so many of these. */
    readonly echoedPorts?: number;
    readonly echoedBindings?: number;
  };
};

export function storedDocument<T extends Publishing>(document: T): StoredDocument<T> {
  const { spec, frontDocument } = document;
  const { exposedPorts, host } = spec;
  const { portBindings } = host;
  const isLong = { ports: exposedPorts.length >= LEAST_PORTS, bindings: portBindings.length >= LEAST_PORTS };
  if (!isLong.ports && !isLong.bindings) return document;
  const echoedPorts = isLong.ports ? echoed(frontDocument, EXPOSED, exposedPorts, isExposedAs) : 0;
  const echoedBindings = isLong.bindings ? echoed(frontDocument, BINDINGS, portBindings, isBoundAs) : 0;
  let front = frontDocument;
  if (echoedPorts > 0) front = withWord(front, EXPOSED, {});
  if (echoedBindings > 0) front = withWord(front, BINDINGS, {});
  const stored: Publishing = {
    spec: {
      ...spec,
      ...(isLong.ports ? { exposedPorts: [] } : {}),
      host: { ...host, ...(isLong.bindings ? { portBindings: [] } : {}) },
    },
    frontDocument: front,
  };
  const short = {
    ...(isLong.ports ? { exposedPorts: packRuns(exposedPorts, shiftContainerPort, equalContainerPorts) } : {}),
    ...(isLong.bindings ? { portBindings: packRuns(portBindings, shiftBinding, equalBindings) } : {}),
    ...(echoedPorts > 0 ? { echoedPorts } : {}),
    ...(echoedBindings > 0 ? { echoedBindings } : {}),
  };
  return { ...document, ...stored, short };
}

export function readDocument<T extends Publishing>(stored: StoredDocument<T>): T {
  const { short, ...document } = stored;
  if (short === undefined) return stored;
  const { spec } = document;
  const exposedPorts =
    short.exposedPorts === undefined ? spec.exposedPorts : unpackRuns(short.exposedPorts, shiftContainerPort);
  const portBindings =
    short.portBindings === undefined ? spec.host.portBindings : unpackRuns(short.portBindings, shiftBinding);
  let front = document.frontDocument;
  if (short.echoedPorts !== undefined) {
    front = withWord(front, EXPOSED, exposedWord(exposedPorts.slice(0, short.echoedPorts)));
  }
  if (short.echoedBindings !== undefined) {
    front = withWord(front, BINDINGS, bindingsWord(portBindings.slice(0, short.echoedBindings)));
  }
  const read: Publishing = {
    spec: { ...spec, exposedPorts, host: { ...spec.host, portBindings } },
    frontDocument: front,
  };
  return { ...(document as unknown as T), ...read };
}

/** A part of the front's document, and its word there. */
type Place = readonly ['Config' | 'HostConfig', string];

const EXPOSED: Place = ['Config', 'ExposedPorts'];
const BINDINGS: Place = ['HostConfig', 'PortBindings'];

/** How many entries of the list a word repeats, from the first; 0 when it says anything else, or says it otherwise. */
function echoed<T>(
  front: FrontDocument | null,
  [part, name]: Place,
  list: readonly T[],
  isSaidAs: (item: T, key: string, value: unknown) => boolean,
): number {
  const owner = front?.[part];
  const word = isObject(owner) ? owner[name] : undefined;
  if (!isObject(word)) return 0;
  const keys = Object.keys(word);
  const isEcho = keys.every((key, index) => {
    const item = list[index];
    return item !== undefined && isSaidAs(item, key, word[key]);
  });
  return isEcho ? keys.length : 0;
}

/** In its place among the others: inspect echoes their order. */
function withWord(front: FrontDocument | null, [part, name]: Place, word: FrontDocument): FrontDocument {
  const owner = front?.[part];
  return { ...front, [part]: { ...(isObject(owner) ? owner : {}), [name]: word } };
}

/** `{"80/tcp": {}, …}` */
function exposedWord(ports: readonly ContainerPort[]): FrontDocument {
  return Object.fromEntries(ports.map((port) => [portWord(port), {}]));
}

function isExposedAs(port: ContainerPort, key: string, value: unknown): boolean {
  return key === portWord(port) && isObject(value) && Object.keys(value).length === 0;
}

/** `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}], …}`, one each. */
function bindingsWord(bindings: readonly PortBinding[]): FrontDocument {
  return Object.fromEntries(
    bindings.map(({ container, hostIp, hostPortStart }) => [
      portWord(container),
      [{ HostIp: hostIp, HostPort: String(hostPortStart) }],
    ]),
  );
}

function isBoundAs(binding: PortBinding, key: string, value: unknown): boolean {
  const { container, hostIp, hostPortStart, hostPortEnd } = binding;
  const [only, second] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (hostPortStart !== hostPortEnd || key !== portWord(container) || !isObject(only) || second !== undefined)
    return false;
  const [ipName, portName, more] = Object.keys(only);
  if (ipName !== 'HostIp' || portName !== 'HostPort' || more !== undefined) return false;
  return only['HostIp'] === hostIp && only['HostPort'] === String(hostPortStart);
}

function portWord({ port, protocol }: ContainerPort): string {
  return `${String(port)}/${protocol}`;
}

function isObject(value: unknown): value is FrontDocument {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
