import { describe, expect, it } from 'vitest';
import { proxyFor } from '../../../../src/engine/registry/proxies.ts';

/** What golang.org/x/net/http/httpproxy decides. */
describe('proxyFor', () => {
  const rules = (none: string) => ({ http: 'http://p.example:3128', https: 'https://u:pw@s.example', none });
  it.each([
    ['https://r.example', '', 'https://u:pw@s.example/'],
    ['http://r.example', '', 'http://p.example:3128/'],
    ['https://localhost:5000', '', null],
    ['https://127.3.2.1', '', null],
    ['https://[::1]:5000', '', null],
    ['https://r.example', '*', null],
    ['https://r.example', 'other.example, r.example', null],
    ['https://a.r.example', 'r.example', null],
    ['https://ar.example', 'r.example', 'https://u:pw@s.example/'],
    ['https://r.example', '.r.example', 'https://u:pw@s.example/'],
    ['https://a.r.example', '.r.example', null],
    ['https://a.r.example', '*.r.example', null],
    ['https://R.EXAMPLE', 'r.Example', null],
    ['https://r.example:5000', 'r.example:5000', null],
    ['https://r.example:5001', 'r.example:5000', 'https://u:pw@s.example/'],
    ['https://r.example', 'r.example:443', null],
    ['http://r.example', 'r.example:443', 'http://p.example:3128/'],
    ['https://10.1.2.3:5000', '10.0.0.0/8', null],
    ['https://11.1.2.3', '10.0.0.0/8', 'https://u:pw@s.example/'],
    ['https://10.1.2.3', '10.1.2.3', null],
    ['https://10.1.2.3', '10.1.2.3:80', 'https://u:pw@s.example/'],
    ['https://[fd00::1]', 'fd00::/8', null],
    ['https://[fd00::1]', 'fd00::1', null],
    ['https://[fd00::1]:8443', '[fd00::1]:8443', null],
    ['https://[fd00::1]:8443', '[fd00::1]:443', 'https://u:pw@s.example/'],
    ['https://r.example', ' , :443,', 'https://u:pw@s.example/'],
  ])('%s with NO_PROXY %j: %s', (url, none, wanted) => {
    expect(proxyFor(new URL(url), rules(none))?.href ?? null).toBe(wanted);
  });

  it('takes a proxy without its scheme, and none for none', () => {
    expect(proxyFor(new URL('http://r.example'), { http: 'p.example:3128', https: '', none: '' })?.href).toBe(
      'http://p.example:3128/',
    );
    expect(proxyFor(new URL('https://r.example'), { http: 'p.example:3128', https: '', none: '' })).toBeNull();
  });
});
