import { describe, expect, it } from 'vitest';
import { jsonFault } from '../../../../src/engine/registry/json-fault.ts';

describe('jsonFault', () => {
  // What Go 1.22 says: json.Unmarshal([]byte(text), &v).
  it.each([
    ['', 'unexpected end of JSON input'],
    ['  ', 'unexpected end of JSON input'],
    ['404 page not found\n', "invalid character 'p' after top-level value"],
    ['<html>', "invalid character '<' looking for beginning of value"],
    ['oops', "invalid character 'o' looking for beginning of value"],
    ['not found', "invalid character 'o' in literal null (expecting 'u')"],
    ['true!', "invalid character '!' after top-level value"],
    ['tru', 'unexpected end of JSON input'],
    ['{', 'unexpected end of JSON input'],
    ['{a:1}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', `invalid character '"' after object key:value pair`],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['[1,]', "invalid character ']' looking for beginning of value"],
    ['[1 2]', "invalid character '2' after array element"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['-a', "invalid character 'a' in numeric literal"],
    ['1.a', "invalid character 'a' after decimal point in numeric literal"],
    ['1ea', "invalid character 'a' in exponent of numeric literal"],
    ["'", "invalid character '\\'' looking for beginning of value"],
  ])('says of %j what Go says', (text, fault) => {
    expect(jsonFault(text)).toBe(fault);
  });

  it.each(['null', '[]', '{}', ' {"a":[1,-2.5e+3,{"b":"\\u00e4\\n"}],"c":true} ', '[[],[{}]]'])(
    'finds nothing wrong with %s',
    (text) => {
      expect(jsonFault(text)).toBe('');
    },
  );

  it('is not felled by depth', () => {
    expect(jsonFault('['.repeat(1_000_000))).toBe('unexpected end of JSON input');
    expect(jsonFault('{"a":'.repeat(300_000))).toBe('unexpected end of JSON input');
  });
});
