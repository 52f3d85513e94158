import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonSyntaxError, parseJsonDocument } from '../../../src/config/json-document.ts';

const failureOf = (text: string): string => {
  try {
    parseJsonDocument(text);
    return 'none';
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return `${String(error.line)}:${String(error.column)} ${error.message}`;
  }
};

describe('positions', () => {
  it('are those of keys, in the objects right inside as well', () => {
    const { keys, value } = parseJsonDocument(
      '{\n  "a": [1,\n {"x": 2}],\n "proxies": {\n  "http-proxy": "u" },\n"b" : 1.5e3}',
    );
    expect([...keys.values()]).toEqual([
      { name: 'a', line: 2, text: '[1,\n {"x": 2}]' },
      { name: 'proxies.http-proxy', line: 5, text: '"u"' },
      { name: 'proxies', line: 4, text: '{\n  "http-proxy": "u" }' },
      { name: 'b', line: 6, text: '1.5e3' },
    ]);
    expect(value).toEqual({ a: [1, { x: 2 }], proxies: { 'http-proxy': 'u' }, b: 1500 });
  });

  it('tell of keys that are there twice', () => {
    expect(parseJsonDocument('{"a":1,\n"a":2}').repeated).toEqual([{ name: 'a', line: 2, text: '2' }]);
  });
});

describe('errors are Go’s, with line and column', () => {
  it.each([
    ['{"debug":true,}', "1:15 invalid character '}' looking for beginning of object key string"],
    ['{"debug":true', '1:14 unexpected EOF'],
    ['{"debug" true}', "1:10 invalid character 't' after object key"],
    ['{\n  "a": 1\n  "b": 2\n}', `3:3 invalid character '"' after object key:value pair`],
    ['{"labels":["a" "b"]}', `1:16 invalid character '"' after array element`],
    ['x', "1:1 invalid character 'x' looking for beginning of value"],
    ['{"a":tru}', "1:9 invalid character '}' in literal true (expecting 'e')"],
    ['{"a":"b\nc"}', String.raw`1:8 invalid character '\n' in string literal`],
    [String.raw`{"a":"\x"}`, "1:8 invalid character 'x' in string escape code"],
    [String.raw`{"a":"\u12g4"}`, String.raw`1:11 invalid character 'g' in \u hexadecimal character escape`],
    ["{'a':1}", String.raw`1:2 invalid character '\'' looking for beginning of object key string`],
    ['{"a":-}', "1:7 invalid character '}' in numeric literal"],
    ['{"a":1.}', "1:8 invalid character '}' after decimal point in numeric literal"],
    ['{"a":1e}', "1:8 invalid character '}' in exponent of numeric literal"],
    ['{"a":01}', "1:7 invalid character '1' after object key:value pair"],
    ['{} {}', "1:4 invalid character '{' after top-level value"],
    ['{} // done', "1:4 invalid character '/' after top-level value"],
    ['', '1:1 unexpected EOF'],
    ['['.repeat(200), '1:101 exceeded max depth'],
  ])('%j: %s', (text, failure) => {
    expect(failureOf(text)).toBe(failure);
  });
});

describe('any text', () => {
  it('is refused exactly when JSON.parse refuses it', () => {
    const json = fc.json({ maxDepth: 4 });
    const broken = fc
      .tuple(json, fc.nat(), fc.constantFrom('', ',', '}', '"', '\\', '0', 'e', '\n', '[', ' '))
      .map(([text, at, put]) => text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1));
    fc.assert(
      fc.property(fc.oneof(json, broken, fc.string()), (text) => {
        let wanted: unknown = null;
        let refused = false;
        try {
          wanted = JSON.parse(text);
        } catch {
          refused = true;
        }
        if (refused) expect(failureOf(text)).not.toBe('none');
        else expect(parseJsonDocument(text).value).toEqual(wanted);
      }),
      { numRuns: 300 },
    );
  });
});
