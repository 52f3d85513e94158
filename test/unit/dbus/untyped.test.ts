import { describe, expect, it } from 'vitest';
import { decodeDictionary } from '../../../src/dbus/bus/dictionary.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { asType, NOT_OF_TYPE } from '../../../src/dbus/bus/untyped.ts';

describe('values of clients without types', () => {
  it.each([
    ['u', variant('i', 7), 7],
    ['t', variant('i', 7), 7n],
    ['x', variant('i', -1), -1n],
    ['t', variant('x', 2n ** 40n), 2n ** 40n],
    ['y', variant('i', 255), 255],
    ['as', variant('av', [variant('s', 'sh'), variant('s', '-c')]), ['sh', '-c']],
    ['as', variant('av', []), []],
    ['a{ss}', variant('a{sv}', { role: variant('s', 'front') }), { role: 'front' }],
    ['a{ss}', variant('a{sv}', {}), {}],
    [
      'a(sqqs)',
      variant('av', [variant('av', [variant('s', ''), variant('i', 8080), variant('i', 80), variant('s', 'tcp')])]),
      [['', 8080, 80, 'tcp']],
    ],
    ['a(sqqs)', variant('av', [variant('(sqqs)', ['', 8080, 80, 'tcp'])]), [['', 8080, 80, 'tcp']]],
  ])('are taken as %s where they can be nothing else (%#)', (wanted, given, expected) => {
    expect(asType(wanted, given)).toEqual(expected);
  });

  it.each([
    ['u', variant('i', -1)],
    ['y', variant('i', 256)],
    ['u', variant('s', '7')],
    ['u', variant('d', 7)],
    ['b', variant('i', 1)],
    ['s', variant('i', 1)],
    ['as', variant('av', [variant('s', 'sh'), variant('i', 1)])],
    ['as', variant('s', 'sh')],
    ['a{ss}', variant('a{sv}', { role: variant('i', 1) })],
    ['a(sqqs)', variant('av', [variant('av', [variant('s', ''), variant('i', 8080)])])],
    ['a(sqqs)', variant('av', [variant('s', '8080:80')])],
    ['constructor', variant('i', 1)],
  ])('are not %s when they do not fit (%#)', (wanted, given) => {
    expect(asType(wanted, given)).toBe(NOT_OF_TYPE);
  });

  it('are refused by key and type', () => {
    expect(() => decodeDictionary({ Tail: 'u' }, { Tail: variant('i', -3) })).toThrow(
      `key "Tail" must be of type 'u', not 'i'`,
    );
    expect(decodeDictionary({ Tail: 'u' }, { Tail: variant('i', 3) })).toEqual({ Tail: 3 });
  });
});
