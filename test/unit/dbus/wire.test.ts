/** Bytes: what is written is what dbus-next writes, what is read is what was written, and bad values never leave. */
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { Framer } from '../../../src/dbus/bus/wire/framer.ts';
import type { UnreadableMessage } from '../../../src/dbus/bus/wire/framer.ts';
import type { IncomingMessage, OutgoingMessage } from '../../../src/dbus/bus/wire/message.ts';
import { encodeMessage } from '../../../src/dbus/bus/wire/message.ts';
import { parseSignature } from '../../../src/dbus/bus/wire/signature.ts';
import { Writer } from '../../../src/dbus/bus/wire/writer.ts';

// The library's own writer is the peer here; it has no types.
const load = createRequire(import.meta.url);
const { marshallMessage } = load('dbus-next/lib/marshall-compat.js') as {
  marshallMessage(message: object): [Buffer, number[]];
};
const { Variant } = load('dbus-next/lib/variant.js') as { Variant: new (signature: string, value: unknown) => object };

/** Our variants to the library's. */
function theirs(value: unknown): unknown {
  if (Buffer.isBuffer(value) || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(theirs);
  if ('signature' in value && 'value' in value) return new Variant(String(value.signature), theirs(value.value));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, theirs(item)]));
}

function write(signature: string, ...body: readonly unknown[]): Writer {
  const writer = new Writer(1);
  writer.body(signature, body);
  return writer;
}

/** Reads chunks as a stream would bring them. */
function receive(chunks: readonly (readonly [Buffer, readonly number[]])[]) {
  const messages: IncomingMessage[] = [];
  const unreadable: UnreadableMessage[] = [];
  const framer = new Framer({ message: (each) => messages.push(each), unreadable: (each) => unreadable.push(each) });
  for (const [bytes, fds] of chunks) framer.push(Buffer.from(bytes), fds);
  return { messages, unreadable, leftovers: framer.takeLeftovers() };
}

const call = (signature: string, body: readonly unknown[]): OutgoingMessage => ({
  type: 'call',
  path: '/a/b',
  interface: 'x.y',
  member: 'Z',
  destination: 'd.e',
  signature,
  body,
});

const SAMPLES: readonly (readonly [string, ...unknown[]])[] = [
  [''],
  ['s', 'läßt grüßen ☺'],
  ['ybnqiuxtd', 255, true, -32768, 65535, -2147483648, 4294967295, -(2n ** 63n) + 1n, 2n ** 64n - 1n, 0.1],
  ['og', '/org/moored/Engine1', 'a{sv}'],
  ['ay', Buffer.from([1, 2, 3])],
  ['as', []],
  ['ax', []],
  ['yax', 1, [1n, 2n]],
  ['a(ossssta{sv})', [['/a', 'b', 'c', 'd', 'e', 7n, { k: variant('u', 1) }]]],
  ['a{sv}', { One: variant('as', ['x', '']), Two: variant('a{ss}', { a: 'b' }), Three: variant('(ib)', [1, false]) }],
  ['a{sa{sv}}', { a: { b: variant('v', variant('t', 5n)) }, c: {} }],
  ['va(tyay)', variant('d', -1), [[1n, 2, Buffer.from('line')]]],
  ['ua{us}s', 1, { '1': 'one' }, 'end'],
];

describe('writing', () => {
  for (const [signature, ...body] of SAMPLES)
    it(`writes '${signature}' as dbus-next does, and reads it back`, () => {
      const ours = encodeMessage(call(signature, body), 77).bytes;
      const { messages } = receive([[ours, []]]);
      expect(messages[0]).toMatchObject({ serial: 77, type: 'call', signature, body });
      // Keys of other types than strings are what the library cannot write.
      if (signature.includes('{us}')) return;
      const [bytes] = marshallMessage({
        ...call(signature, body),
        type: 1,
        serial: 77,
        signature,
        body: body.map(theirs),
      });
      // Header fields come in another order there; all is read by either.
      const bodyOf = (message: Buffer): Buffer => message.subarray(message.length - message.readUInt32LE(4));
      expect(bodyOf(ours)).toEqual(bodyOf(bytes));
      expect(receive([[bytes, []]]).messages).toEqual(messages);
    });

  const BAD: readonly (readonly [string, unknown, string])[] = [
    ['s', 'a\0b', 'NUL'],
    ['s', '\ud800', 'Unicode'],
    ['s', 1, 'text is needed'],
    ['s', null, 'text is needed'],
    ['o', '/a//b', 'object path'],
    ['o', '/a/', 'object path'],
    ['o', '', 'object path'],
    ['y', 256, 'range'],
    ['y', -1, 'range'],
    ['n', 32768, 'range'],
    ['q', 1.5, 'integer'],
    ['i', 2 ** 31, 'range'],
    ['u', 2 ** 32, 'range'],
    ['u', Number.NaN, 'integer'],
    ['x', 2n ** 63n, 'range'],
    ['t', -1n, 'range'],
    ['t', 2 ** 60, 'integer'],
    ['d', '1', 'number'],
    ['b', 1, 'true or false'],
    ['h', -1, 'range'],
    ['v', 'x', 'variant'],
    ['as', 'x', 'array'],
    ['(ss)', ['one'], 'array of 2'],
    ['a{ss}', ['x'], 'object'],
    ['a{ss}', { a: undefined }, 'text is needed'],
    ['a{us}', { a: 'b' }, 'integer'],
  ];
  for (const [index, [signature, value, reason]] of BAD.entries())
    it(`refuses for '${signature}' what it cannot carry (${String(index)}: ${reason})`, () => {
      expect(() => write(signature, value)).toThrow(reason);
    });

  it('refuses too few values, and signatures that are none', () => {
    expect(() => write('ss', 'a')).toThrow('2 values');
    for (const signature of [
      'a',
      '(',
      'z',
      '()',
      '{sv}',
      'a{vs}',
      'a{s}',
      's'.repeat(256),
      `${'a'.repeat(40)}s`,
      'r',
      'm',
    ]) {
      expect(() => parseSignature(signature), signature).toThrow();
    }
    expect(() => write('v', variant('ss', 'x'))).toThrow('one complete type');
    expect(() => write('g', 'a{')).toThrow();
  });

  it('refuses what is nested without end', () => {
    let nested = variant('s', 'x');
    for (let depth = 0; depth < 70; depth++) nested = variant('v', nested);
    expect(() => write('v', nested)).toThrow('too deep');
  });

  it('numbers descriptors', () => {
    const writer = write('hsah', 7, 'x', [8, 9]);
    expect(writer.fds).toEqual([7, 8, 9]);
    expect(encodeMessage(call('h', [7]), 1).fds).toEqual([7]);
  });
});

describe('reading', () => {
  const one = encodeMessage(call('s', ['one']), 1).bytes;
  const two = encodeMessage(call('sh', ['two', 0]), 2).bytes;
  const three = encodeMessage(call('hh', [0, 0]), 3).bytes;

  it('puts messages together from any chunks', () => {
    const stream = Buffer.concat([one, one, one]);
    const bytewise = receive(Array.from(stream, (_byte, index) => [stream.subarray(index, index + 1), []]));
    expect(bytewise.messages.map(({ body }) => body)).toEqual([['one'], ['one'], ['one']]);
    expect(receive([[stream, []]]).messages).toEqual(bytewise.messages);
  });

  it('gives each message its own descriptors, though they come with an earlier one', () => {
    const { messages, leftovers } = receive([[Buffer.concat([one, two, three]), [10, 11, 12]]]);
    expect(messages.map(({ body }) => body)).toEqual([['one'], ['two', 10], [11, 12]]);
    expect(leftovers).toEqual([]);
  });

  it('tells of a body that is not what its signature says, and goes on', () => {
    const broken = Buffer.from(two);
    broken.writeUInt32LE(9, broken.length - 4);
    const { messages, unreadable } = receive([[Buffer.concat([broken, one]), [10]]]);
    expect(unreadable).toMatchObject([{ serial: 2, type: 'call', fds: [10] }]);
    expect(messages.map(({ serial }) => serial)).toEqual([1]);
  });

  it('gives up the descriptors of a message of a later protocol, and goes on', () => {
    const later = Buffer.from(two);
    later[1] = 5;
    const { messages, unreadable, leftovers } = receive([[Buffer.concat([later, one]), [10]]]);
    expect(unreadable).toMatchObject([{ type: null, fds: [10] }]);
    expect([messages.map(({ serial }) => serial), leftovers]).toEqual([[1], []]);
  });

  it('gives up a stream that is none', () => {
    expect(() => receive([[Buffer.alloc(64, 0xff), []]])).toThrow('bytes');
  });

  it('reads big-endian messages', () => {
    // Ping by hand: head, length of the fields, path and member each padded to 8; no body.
    const hex =
      '42010001000000000000000500' + '00001d' + '01016f00000000022f61000000000000' + '030173000000000450696e6700000000';
    const bytes = Buffer.from(hex, 'hex');
    const { messages } = receive([[bytes, []]]);
    expect(messages).toMatchObject([{ serial: 5, path: '/a', member: 'Ping', body: [] }]);
  });

  it('keeps a key named __proto__', () => {
    const [message] = receive([
      [encodeMessage(call('a{ss}', [Object.fromEntries([['__proto__', 'x']])]), 1).bytes, []],
    ]).messages;
    expect(Object.keys(message?.body[0] as object)).toEqual(['__proto__']);
  });
});
