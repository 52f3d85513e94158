/**
 * Values to bytes, checked: what the bus would cut our connection for (a bad path, a NUL, text that is not Unicode) or
 * what would arrive as another value (a number out of range) throws {@link ValueError} before anything is sent. Text that
 * is only shown may have its odd characters replaced instead: a label of somebody's image must not hide all images.
 *
 * Written here because dbus-next's own writer checks too little, costs a buffer for each value, and cannot keep what it
 * wrote: the answer about a thousand objects is put together from kept bytes.
 */
import { isObjectPathValid } from 'dbus-next/lib/validators.js';
import type { Variant } from '../exported.ts';
import type { SignatureNode } from './signature.ts';
import { alignmentOf, elementOf, parseSignature, parseSingle } from './signature.ts';

/** A value that its type cannot carry. */
export class ValueError extends Error {
  constructor(type: string, value: unknown, reason: string) {
    super(`${describe(value)} cannot be sent as '${type}': ${reason}`);
    this.name = 'ValueError';
  }
}

/** The bus's limit for one array. */
const MAX_ARRAY_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 64;

/** Bytes under construction, little-endian, growing. Descriptors are gathered beside them. */
export class Writer {
  /** Descriptors in the order of their indexes. */
  readonly fds: number[] = [];
  #bytes: Buffer;
  #length = 0;
  #depth = 0;

  readonly #textIs: 'exact' | 'shown';

  constructor(capacity = 256, textIs: 'exact' | 'shown' = 'exact') {
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#textIs = textIs;
  }

  get length(): number {
    return this.#length;
  }

  /** What is written so far; the writer must not be used after. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of a part of it, that outlives the writer's next use. */
  copy(start: number, end: number): Buffer {
    return Buffer.from(this.#bytes.subarray(start, end));
  }

  /** Takes back what was written after `length`. */
  truncate(length: number): void {
    this.#length = length;
    this.#depth = 0;
  }

  /** Forgets everything and keeps the memory. */
  reset(): void {
    this.#length = 0;
    this.#depth = 0;
    this.fds.length = 0;
  }

  /** Writes the arguments of a message. */
  body(signature: string, values: readonly unknown[]): void {
    const nodes = parseSignature(signature);
    if (nodes.length !== values.length) {
      throw new ValueError(signature, values.length, `${String(nodes.length)} values are needed`);
    }
    nodes.forEach((node, index) => this.value(node, values[index]));
  }

  /** Pads with zeros to a multiple of `alignment`. */
  align(alignment: number): void {
    const end = Math.ceil(this.#length / alignment) * alignment;
    this.#reserve(end - this.#length);
    this.#bytes.fill(0, this.#length, end);
    this.#length = end;
  }

  /** Appends bytes that were written apart, at an offset of the same alignment. */
  raw(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
  }

  /** An array whose elements `fill` writes. */
  array(elementAlignment: number, fill: () => void): void {
    this.align(4);
    const lengthAt = this.#length;
    this.#uint32(0);
    // The padding before the first element is there for an empty array too, and is not counted.
    this.align(elementAlignment);
    const start = this.#length;
    fill();
    const length = this.#length - start;
    if (length > MAX_ARRAY_BYTES) throw new ValueError('a', length, 'an array may have 64 MiB');
    this.#bytes.writeUInt32LE(length, lengthAt);
  }

  /** A variant: signature, then the value. */
  variant(signature: string, node: SignatureNode, value: unknown): void {
    this.#shortText(signature);
    this.value(node, value);
  }

  value(node: SignatureNode, value: unknown): void {
    switch (node.type) {
      case 's':
        this.text(value);
        break;
      case 'o':
        if (typeof value !== 'string' || !isObjectPathValid(value)) {
          throw new ValueError('o', value, 'it is no object path');
        }
        this.text(value);
        break;
      case 'g':
        if (typeof value !== 'string') throw new ValueError('g', value, 'text is needed');
        parseSignature(value);
        this.#shortText(value);
        break;
      case 'b':
        if (typeof value !== 'boolean') throw new ValueError('b', value, 'true or false is needed');
        this.align(4);
        this.#uint32(value ? 1 : 0);
        break;
      case 'h':
        this.align(4);
        this.#uint32(this.fds.length);
        this.fds.push(integer('h', value, 0, 0x7fffffff));
        break;
      case 'a':
      case '(':
      case '{':
      case 'v':
        this.#container(node, value);
        break;
      default:
        this.#number(node.type, value);
    }
  }

  /** A string; lone surrogates and NUL are replaced where it is only shown, and refused else. */
  text(value: unknown): void {
    const text = this.#sendable(value);
    this.align(4);
    const length = Buffer.byteLength(text);
    this.#reserve(length + 5);
    this.#bytes.writeUInt32LE(length, this.#length);
    this.#bytes.write(text, this.#length + 4);
    this.#bytes[this.#length + 4 + length] = 0;
    this.#length += length + 5;
  }

  #sendable(value: unknown): string {
    if (typeof value !== 'string') throw new ValueError('s', value, 'text is needed');
    const hasNul = value.includes('\0');
    if (!hasNul && value.isWellFormed()) return value;
    if (this.#textIs === 'shown') return value.replaceAll('\0', '\ufffd').toWellFormed();
    throw new ValueError('s', value, hasNul ? 'it has a NUL' : 'it is not Unicode');
  }

  #container(node: SignatureNode, value: unknown): void {
    if (++this.#depth > MAX_DEPTH) throw new ValueError(node.type, value, 'it is nested too deep');
    if (node.type === 'v') {
      if (!isVariant(value)) throw new ValueError('v', value, 'a variant is needed');
      this.variant(value.signature, parseSingle(value.signature), value.value);
    } else if (node.type === 'a') {
      this.#arrayOf(elementOf(node), value);
    } else {
      if (!Array.isArray(value) || value.length !== node.child.length) {
        throw new ValueError('(', value, `an array of ${String(node.child.length)} is needed`);
      }
      this.align(8);
      node.child.forEach((child, index) => this.value(child, value[index]));
    }
    this.#depth--;
  }

  #arrayOf(element: SignatureNode, value: unknown): void {
    if (element.type === 'y' && Buffer.isBuffer(value)) {
      this.array(1, () => this.raw(value));
      return;
    }
    if (element.type === '{') {
      this.#dict(element, value);
      return;
    }
    if (!Array.isArray(value)) throw new ValueError('a', value, 'an array is needed');
    this.array(alignmentOf(element.type), () => {
      for (const item of value) this.value(element, item);
    });
  }

  #dict(entry: SignatureNode, value: unknown): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ValueError('a{', value, 'an object is needed');
    }
    const [keyNode, valueNode] = entry.child as [SignatureNode, SignatureNode];
    this.array(8, () => {
      for (const [key, item] of Object.entries(value)) {
        this.align(8);
        this.value(keyNode, keyOf(keyNode.type, key));
        this.value(valueNode, item);
      }
    });
  }

  #number(type: string, value: unknown): void {
    const alignment = alignmentOf(type);
    this.align(alignment);
    this.#reserve(8);
    const at = this.#length;
    switch (type) {
      case 'y':
        this.#bytes[at] = integer(type, value, 0, 0xff);
        break;
      case 'n':
        this.#bytes.writeInt16LE(integer(type, value, -0x8000, 0x7fff), at);
        break;
      case 'q':
        this.#bytes.writeUInt16LE(integer(type, value, 0, 0xffff), at);
        break;
      case 'i':
        this.#bytes.writeInt32LE(integer(type, value, -0x80000000, 0x7fffffff), at);
        break;
      case 'u':
        this.#bytes.writeUInt32LE(integer(type, value, 0, 0xffffffff), at);
        break;
      case 'x':
        this.#bytes.writeBigInt64LE(bigInteger(type, value, -(2n ** 63n), 2n ** 63n - 1n), at);
        break;
      case 't':
        this.#bytes.writeBigUInt64LE(bigInteger(type, value, 0n, 2n ** 64n - 1n), at);
        break;
      case 'd':
        if (typeof value !== 'number') throw new ValueError(type, value, 'a number is needed');
        this.#bytes.writeDoubleLE(value, at);
        break;
      default:
        throw new ValueError(type, value, 'there is no such type');
    }
    this.#length += alignment;
  }

  #uint32(value: number): void {
    this.#reserve(4);
    this.#bytes.writeUInt32LE(value, this.#length);
    this.#length += 4;
  }

  /** A signature: length in one byte. */
  #shortText(text: string): void {
    const length = text.length;
    this.#reserve(length + 2);
    this.#bytes[this.#length] = length;
    this.#bytes.write(text, this.#length + 1, 'latin1');
    this.#bytes[this.#length + 1 + length] = 0;
    this.#length += length + 2;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function isVariant(value: unknown): value is Variant {
  return (
    typeof value === 'object' &&
    value !== null &&
    'signature' in value &&
    'value' in value &&
    typeof value.signature === 'string'
  );
}

/** A key of a JavaScript object as its type has it. */
function keyOf(type: string, key: string): unknown {
  switch (type) {
    case 's':
    case 'o':
    case 'g':
      return key;
    case 'b':
      return key === 'true';
    case 'x':
    case 't':
      return BigInt(key);
    default:
      return Number(key);
  }
}

function integer(type: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new ValueError(type, value, 'an integer is needed');
  if (value < least || value > most) throw new ValueError(type, value, 'it is out of range');
  return value;
}

function bigInteger(type: string, value: unknown, least: bigint, most: bigint): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return bigInteger(type, BigInt(value), least, most);
  if (typeof value !== 'bigint') throw new ValueError(type, value, 'an integer is needed');
  if (value < least || value > most) throw new ValueError(type, value, 'it is out of range');
  return value;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
