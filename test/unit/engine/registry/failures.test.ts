import { describe, expect, it } from 'vitest';
import { UnauthorizedError } from '../../../../src/base/errors.ts';
import { parseReference } from '../../../../src/engine/oci/reference.ts';
import {
  blobError,
  manifestError,
  networkError,
  refusalOf,
  schema1Error,
  wrapRequestError,
} from '../../../../src/engine/registry/failures.ts';

const reference = parseReference('127.0.0.1:5000/x/y:1');

function manifestText(status: number, body: string, challengeHeader?: string): string {
  const statusText = { 500: 'Internal Server Error', 404: 'Not Found' }[status] ?? '';
  return manifestError(refusalOf({ status, statusText, challengeHeader }, body), reference).message;
}

// Recorded from dockerd 20.10.24 before a registry that gave these answers.
describe('answers in the words of dockerd', () => {
  it.each([
    [500, 'boom', 'received unexpected HTTP status: 500 Internal Server Error'],
    [
      429,
      '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}',
      'toomanyrequests: You have reached your pull rate limit.',
    ],
    [
      429,
      'slow down',
      `error parsing HTTP 429 response body: invalid character 's' looking for beginning of value: "slow down"`,
    ],
    [403, '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}', 'denied'],
    [401, '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', 'unauthorized'],
    [401, '<html>', 'unauthorized: authentication required'],
    [
      404,
      '{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"x/y"}}]}',
      'repository 127.0.0.1:5000/x/y not found: name unknown: repository name not known to registry',
    ],
    [
      404,
      '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}',
      'manifest for 127.0.0.1:5000/x/y:1 not found: manifest unknown: manifest unknown',
    ],
    [
      404,
      '<html>',
      `error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: "<html>"`,
    ],
    [404, '{}', 'error parsing HTTP 404 response body: no error details found in HTTP response body: "{}"'],
    [404, '', 'error parsing HTTP 404 response body: unexpected end of JSON input: ""'],
    [404, '{"errors":[{"code":"FOO","message":"bar baz"},{"code":"DENIED","message":"q"}]}', 'unknown: bar baz'],
    [404, '{"details":"some words"}', 'unknown: some words'],
    [401, '{"details":"incorrect username or password"}', 'unauthorized: incorrect username or password'],
  ])('%s %s', (status, body, text) => {
    expect(manifestText(status, body)).toBe(text);
  });

  it('tell the beginning of a page that nobody expected', () => {
    const refused = refusalOf({ status: 404, statusText: 'Not Found', challengeHeader: undefined }, 'x'.repeat(60_000));
    expect(refused.text).toMatch(/^error parsing HTTP 404 response body: .*"x{2048}…"$/);
  });

  it('believes the challenge of a refused token', () => {
    const body = '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[]}]}';
    expect(manifestText(401, body, 'Bearer realm="x",error="insufficient_scope"')).toBe(
      "pull access denied for 127.0.0.1:5000/x/y, repository does not exist or may require 'docker login': " +
        'denied: requested access to the resource is denied',
    );
    expect(manifestText(401, body, 'Bearer realm="x",error="invalid_token"')).toBe(
      'unauthorized: authentication required',
    );
  });

  it('gives each its kind', () => {
    const kindOf = (status: number, body = ''): string =>
      manifestError(refusalOf({ status, statusText: '', challengeHeader: undefined }, body), reference).kind;
    expect([kindOf(401), kindOf(403), kindOf(429), kindOf(503), kindOf(400)]).toEqual([
      'unauthorized',
      'forbidden',
      'unavailable',
      'unavailable',
      'internal',
    ]);
    expect(blobError({ status: 404, code: null, text: 'x' })).toMatchObject({
      kind: 'not-found',
      message: 'unknown blob',
    });
  });

  it('names the image whose author should upgrade from schema 1', () => {
    expect(schema1Error(reference).message).toContain(
      'Suggest the author of 127.0.0.1:5000/x/y:1 to upgrade the image to the OCI Format',
    );
  });
});

describe('requests without an answer read as in Go', () => {
  const fault = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more });

  it.each([
    [fault('ECONNREFUSED', { address: '127.0.0.1', port: 1 }), 'dial tcp 127.0.0.1:1: connect: connection refused'],
    [fault('ECONNREFUSED', { address: '::1', port: 1 }), 'dial tcp [::1]:1: connect: connection refused'],
    [
      new AggregateError([fault('ECONNREFUSED', { address: '::1', port: 1 })]),
      'dial tcp [::1]:1: connect: connection refused',
    ],
    [fault('UND_ERR_SOCKET'), 'EOF'],
    [fault('UND_ERR_CONNECT_TIMEOUT'), 'dial tcp r:1: i/o timeout'],
    [
      fault('DEPTH_ZERO_SELF_SIGNED_CERT'),
      'tls: failed to verify certificate: x509: certificate signed by unknown authority',
    ],
    [fault('EPROTO'), 'http: server gave HTTP response to HTTPS client'],
    [new Error('other words'), 'other words'],
  ])('%s', (thrown, text) => {
    expect(networkError('GET', 'http://r:1/v2/', thrown)).toMatchObject({
      kind: 'unavailable',
      message: `Get "http://r:1/v2/": ${text}`,
    });
  });

  it('names who was asked for a host that is not there', () => {
    expect(networkError('HEAD', 'https://no.invalid/v2/', fault('ENOTFOUND')).message).toMatch(
      /^Head "https:\/\/no\.invalid\/v2\/": dial tcp: lookup no\.invalid( on \S+)?: no such host$/,
    );
  });

  it('keeps the kind of what it wraps', () => {
    const wrapped = wrapRequestError('GET', 'u', new UnauthorizedError('no basic auth credentials'));
    expect(wrapped).toMatchObject({ kind: 'unauthorized', message: 'Get "u": no basic auth credentials' });
  });
});
