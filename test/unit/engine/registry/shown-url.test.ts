import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../../src/base/errors.ts';
import { networkError, wrapRequestError } from '../../../../src/engine/registry/failures.ts';
import { shownUrl } from '../../../../src/engine/registry/shown-url.ts';

describe('shownUrl', () => {
  it.each([
    ['https://r.example:5000/v2/x/manifests/1', 'https://r.example:5000/v2/x/manifests/1'],
    ['https://r.example/v2/x/tags/list?n=5&last=a%2Fb', 'https://r.example/v2/x/tags/list?n=5&last=a%2Fb'],
    [
      'https://auth.example/token?account=u&scope=repository%3Ax%3Apull&service=s',
      'https://auth.example/token?account=u&scope=repository%3Ax%3Apull&service=s',
    ],
    [
      'https://s3.example/b?X-Amz-Credential=AK&X-Amz-Signature=abc=&partNumber=1',
      'https://s3.example/b?X-Amz-Credential=xxxxx&X-Amz-Signature=xxxxx&partNumber=xxxxx',
    ],
    [
      'https://r.example/v2/x/blobs/uploads/1?_state=a%2Fb&digest=sha256:0',
      'https://r.example/v2/x/blobs/uploads/1?_state=xxxxx&digest=sha256:0',
    ],
    ['https://store.example/b?bare-secret', 'https://store.example/b?xxxxx'],
    ['https://store.example/b?#fragment=secret', 'https://store.example/b?'],
    ['https://u:p@x:y@proxy.example/a', 'https://u:xxxxx@proxy.example/a'],
    ['https://u@r.example/a', 'https://u@r.example/a'],
    ['http://[::1]:5000/v2/?a@b', 'http://[::1]:5000/v2/?xxxxx'],
    ['no address', 'no address'],
  ])('%s', (url, shown) => {
    expect(shownUrl(url)).toBe(shown);
  });

  it('is how errors name a request', () => {
    const url = 'https://store.example/b?sig=SECRET';
    const errors = [
      networkError('PUT', url, Object.assign(new Error('x'), { code: 'UND_ERR_SOCKET' })),
      wrapRequestError('PATCH', url, new UnavailableError('gone')),
    ];
    expect(errors.map(({ message }) => message)).toEqual([
      'Put "https://store.example/b?sig=xxxxx": EOF',
      'Patch "https://store.example/b?sig=xxxxx": gone',
    ]);
  });
});
