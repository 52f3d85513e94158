/**
 * Properties as bytes. What an object told last is kept as it went over the bus: a change is a difference of bytes, and
 * the answer about all objects is put together from what is there.
 *
 *   a{sv}: entries, each padded to 8 (string, signature, value). An entry that starts at a multiple of 8 has the same
 *   bytes wherever it stands.
 */
import { InternalError } from '../../base/errors.ts';
import type { ExportedInterface } from './exported.ts';
import type { SignatureNode } from './wire/signature.ts';
import { parseSingle } from './wire/signature.ts';
import { ValueError, Writer } from './wire/writer.ts';
import type { InterfaceInfo, PropertyInfo } from './xml.ts';

/** What an interface told last. */
export interface Snapshot {
  /** All entries, each at a multiple of 8. */
  readonly bytes: Buffer;
  /** Start and end of the entries, two numbers for each property in the document's order. */
  readonly spans: readonly number[];
}

interface Column {
  readonly info: PropertyInfo;
  readonly node: SignatureNode;
}

const columnsByInterface = new WeakMap<InterfaceInfo, readonly Column[]>();

function columnsOf(info: InterfaceInfo): readonly Column[] {
  const known = columnsByInterface.get(info);
  if (known !== undefined) return known;
  const columns = [...info.properties.values()].map((property) => ({
    info: property,
    node: parseSingle(property.type),
  }));
  columnsByInterface.set(info, columns);
  return columns;
}

/** Where snapshots are written before it is known whether anything changed. */
const scratch = new Writer(16 * 1024, 'shown');

/** Reads all properties. One that its type cannot carry is left out and told to `onBad`. */
export function takeSnapshot(
  info: InterfaceInfo,
  exported: ExportedInterface,
  onBad: (error: InternalError) => void,
): Snapshot {
  const values = exported.properties();
  scratch.reset();
  const spans: number[] = [];
  for (const column of columnsOf(info)) {
    const before = scratch.length;
    try {
      scratch.align(8);
      const start = scratch.length;
      writeEntry(scratch, column, values[column.info.name], info.name);
      spans.push(start, scratch.length);
    } catch (error) {
      if (!(error instanceof InternalError)) throw error;
      scratch.truncate(before);
      spans.push(before, before);
      onBad(error);
    }
  }
  return { bytes: scratch.copy(0, scratch.length), spans };
}

/** One property as a variant, read now; null when the interface has no such property. */
export function writeProperty(writer: Writer, info: InterfaceInfo, exported: ExportedInterface, name: string): boolean {
  const column = columnsOf(info).find((candidate) => candidate.info.name === name);
  if (column === undefined) return false;
  writeVariant(writer, column, exported.properties()[name], info.name);
  return true;
}

/** What differs between two snapshots of one interface and is to be announced. */
export interface Change {
  /** Spans in `bytes` of the later snapshot. */
  readonly changed: readonly (readonly [number, number])[];
  readonly invalidated: readonly string[];
}

export function difference(info: InterfaceInfo, before: Snapshot, after: Snapshot): Change {
  const changed: [number, number][] = [];
  const invalidated: string[] = [];
  if (before.bytes.equals(after.bytes)) return { changed, invalidated };
  columnsOf(info).forEach(({ info: property }, index) => {
    if (property.announcement === 'const' || property.announcement === 'false') return;
    const [start, end] = spanOf(after, index);
    const [oldStart, oldEnd] = spanOf(before, index);
    if (after.bytes.compare(before.bytes, oldStart, oldEnd, start, end) === 0) return;
    if (property.announcement === 'invalidates' || start === end) invalidated.push(property.name);
    else changed.push([start, end]);
  });
  return { changed, invalidated };
}

/** Writes `a{sv}` of some entries. */
export function writeEntries(writer: Writer, { bytes }: Snapshot, spans: readonly (readonly [number, number])[]): void {
  writer.array(8, () => {
    for (const [start, end] of spans) {
      writer.align(8);
      writer.raw(bytes.subarray(start, end));
    }
  });
}

/** Writes `a{sv}` of all entries. */
export function writeAllEntries(writer: Writer, { bytes }: Snapshot): void {
  writer.array(8, () => writer.raw(bytes));
}

function spanOf({ spans }: Snapshot, index: number): readonly [number, number] {
  return [spans[2 * index] ?? 0, spans[2 * index + 1] ?? 0];
}

function writeEntry(writer: Writer, column: Column, value: unknown, interfaceName: string): void {
  writer.text(column.info.name);
  writeVariant(writer, column, value, interfaceName);
}

function writeVariant(writer: Writer, { info, node }: Column, value: unknown, interfaceName: string): void {
  try {
    writer.variant(info.type, node, value);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new InternalError(`${interfaceName}.${info.name}: ${error.message}`, { cause: error });
  }
}
