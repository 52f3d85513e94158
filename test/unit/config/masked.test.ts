import { describe, expect, it } from 'vitest';
import { maskedProxy, withoutPassword } from '../../../src/config/masked.ts';

describe('what is shown of addresses', () => {
  it.each([
    ['http://proxy:3128', 'http://proxy:3128'],
    ['http://u:secret@proxy:3128', 'http://xxxxx:xxxxx@proxy:3128'],
    ['http://u:sec@ret@proxy:3128', 'http://xxxxx:xxxxx@proxy:3128'],
    ['http://u:sec/ret@proxy:3128', 'http://xxxxx:xxxxx@proxy:3128'],
    ['u:secret@proxy:3128', 'xxxxx:xxxxx@proxy:3128'],
    ['/etc/sysconfig/docker:3 HTTP_PROXY', '/etc/sysconfig/docker:3 HTTP_PROXY'],
    ['--http-proxy http://u:secret@proxy', '--http-proxy http://xxxxx:xxxxx@proxy'],
    ['', ''],
  ])('as a proxy: %s', (text, shown) => {
    expect(maskedProxy(text)).toBe(shown);
  });

  it.each([
    ['mirror=https://u:sec/r@et@m.example/a', 'mirror=https://xxxxx:xxxxx@m.example/a'],
    ['https://m.example/a', 'https://m.example/a'],
    ['r.example/a@b', 'r.example/a@b'],
  ])('as a mirror: %s', (text, shown) => {
    expect(withoutPassword(text)).toBe(shown);
  });
});
