/** Published ports as elements of the table's sets and maps. Pure. */
import type { NftElement, NftField } from '../../../kernel/kernel.ts';
import type { PublishedPort } from '../../types.ts';
import type { Family, FamilyNetwork } from './family.ts';
import { FAMILY, familyOf } from './family.ts';

/** Fewer ports than this in a row are an element each, which a packet finds at once; an interval is searched for. */
const LEAST_INTERVAL = 8;

/** How ports of a network are let in. */
export type PortEntry = Pick<FamilyNetwork, 'mode' | 'respectful'> & {
  /** See `isReachable`. */
  readonly reachable: boolean;
};

/** Elements by what they are in the set: two ports may ask for the same one. */
export function elementsOf(
  ports: readonly PublishedPort[],
  family: Family,
  entry: PortEntry,
): ReadonlyMap<string, NftElement> {
  const elements = [
    ...(entry.reachable ? ports.map(reachableElement) : []),
    ...(entry.mode === 'routed' ? [] : translations(ports, family, entry)),
  ];
  return new Map(elements.map((element) => [`${element.set} ${keyText(element)}`, element]));
}

function translations(ports: readonly PublishedPort[], family: Family, { respectful }: PortEntry): NftElement[] {
  const { anyAddress } = FAMILY[family];
  const elements: NftElement[] = [];
  for (const run of runsOf(ports, anyAddress)) {
    const [first] = run;
    if (first === undefined) continue;
    if (run.length >= LEAST_INTERVAL) elements.push(intervalElement(first, run.length));
    else elements.push(...run.map((port) => portElement(port, anyAddress)));
  }
  for (const port of ports) {
    const key = hostKey(port, anyAddress);
    if (respectful) elements.push({ set: port.hostIp === anyAddress ? 'asked' : 'asked_on', key });
    if (family === 'ipv4' && port.hostIp.startsWith('127.')) elements.push({ set: 'loopback_only', key });
  }
  return elements;
}

/** Ports whose numbers follow one another and are the container's own, together; all others alone. */
function runsOf(ports: readonly PublishedPort[], anyAddress: string): readonly (readonly PublishedPort[])[] {
  const runs: PublishedPort[][] = [];
  const byNumber = [...ports].sort(
    (a, b) => compare(a.container.protocol, b.container.protocol) || a.hostPort - b.hostPort,
  );
  for (const port of byNumber) {
    const last = runs.at(-1)?.at(-1);
    const follows =
      last !== undefined &&
      port.hostPort === last.hostPort + 1 &&
      port.container.protocol === last.container.protocol &&
      [last, port].every((one) => isEven(one, anyAddress));
    if (follows) runs.at(-1)?.push(port);
    else runs.push([port]);
  }
  return runs;
}

function isEven({ container, hostIp, hostPort }: PublishedPort, anyAddress: string): boolean {
  return hostIp === anyAddress && container.port === hostPort && container.protocol !== 'sctp';
}

function intervalElement({ container, hostPort, endpointIpAddress }: PublishedPort, count: number): NftElement {
  return {
    set: `published_${container.protocol}`,
    key: [{ port: hostPort }],
    lastPort: hostPort + count - 1,
    data: [{ address: endpointIpAddress }],
  };
}

function portElement(port: PublishedPort, anyAddress: string): NftElement {
  return {
    set: port.hostIp === anyAddress ? 'published' : 'published_on',
    key: hostKey(port, anyAddress),
    data: [{ address: port.endpointIpAddress }, { port: port.container.port }],
  };
}

function reachableElement({ container, endpointIpAddress }: PublishedPort): NftElement {
  const { protocol, port } = container;
  return { set: 'reachable', key: [{ protocol }, { address: endpointIpAddress }, { port }] };
}

function hostKey({ container, hostIp, hostPort }: PublishedPort, anyAddress: string): readonly NftField[] {
  const address = hostIp === anyAddress ? [] : [{ address: hostIp }];
  return [{ protocol: container.protocol }, ...address, { port: hostPort }];
}

/** Whether the filter of this family can lead the port at all. */
export function isLed({ hostIp, endpointIpAddress }: PublishedPort, family: Family): boolean {
  return familyOf(endpointIpAddress) === family && familyOf(hostIp) === family;
}

/** The elements in nft's language, one command a set. */
export function addElements(table: string, family: Family, elements: Iterable<NftElement>): string {
  const { table: word } = FAMILY[family];
  return [...Map.groupBy(elements, ({ set }) => set)]
    .map(([set, own]) => `add element ${word} ${table} ${set} { ${own.map(elementText).join(', ')} }`)
    .join('\n');
}

function elementText(element: NftElement): string {
  const data = element.data === undefined ? '' : ` : ${fieldsText(element.data)}`;
  return `${keyText(element)}${data}`;
}

function keyText({ key, lastPort }: NftElement): string {
  return `${fieldsText(key)}${lastPort === undefined ? '' : `-${String(lastPort)}`}`;
}

function fieldsText(fields: readonly NftField[]): string {
  return fields
    .map((field) => ('address' in field ? field.address : 'port' in field ? String(field.port) : field.protocol))
    .join(' . ');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
