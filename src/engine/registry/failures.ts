/**
 * What goes wrong with a registry, in the words of dockerd: clients and scripts match them. Network faults read as Go's
 * `net/http` prints them, answers as the distribution client does.
 */
import { getServers } from 'node:dns';
import { isIP } from 'node:net';
import {
  EngineError,
  errnoCodeOf,
  ForbiddenError,
  InternalError,
  InvalidArgumentError,
  messageOf,
  NotFoundError,
  UnauthorizedError,
  UnavailableError,
} from '../../base/errors.ts';
import { canonicalName, familiarName, familiarString, type NamedReference } from '../oci/reference.ts';
import { parseChallenges } from './challenge.ts';
import { shownUrl } from './shown-url.ts';
import { errorBody } from './wire.ts';

/** What a registry said instead of what was asked for. */
export interface RegistryRefusal {
  readonly status: number;
  /** distribution-spec error code (`MANIFEST_UNKNOWN`); null when the answer does not name one in full. */
  readonly code: string | null;
  readonly text: string;
}

/** The cause of an error that tells more than the registry did: what that said itself. */
export class RegistrySaid extends EngineError {}

/** Much more than any real error body; a hostile one ends here. */
export const MAX_ERROR_BODY_BYTES = 64 * 1024;

/** Of a web page in place of an answer, the beginning says what it is; the rest only fills logs. */
const MAX_SHOWN = 2048;

/** The distribution-spec's default texts: an error that says no more than these is printed as its bare code. */
const DEFAULT_MESSAGES: Readonly<Record<string, string>> = {
  BLOB_UNKNOWN: 'blob unknown to registry',
  BLOB_UPLOAD_INVALID: 'blob upload invalid',
  BLOB_UPLOAD_UNKNOWN: 'blob upload unknown to registry',
  DENIED: 'requested access to the resource is denied',
  DIGEST_INVALID: 'provided digest did not match uploaded content',
  MANIFEST_BLOB_UNKNOWN: 'blob unknown to registry',
  MANIFEST_INVALID: 'manifest invalid',
  MANIFEST_UNKNOWN: 'manifest unknown',
  NAME_INVALID: 'invalid repository name',
  NAME_UNKNOWN: 'repository name not known to registry',
  RANGE_INVALID: 'invalid content range',
  SIZE_INVALID: 'provided length did not match content length',
  TAG_INVALID: 'manifest tag did not match URI',
  TOOMANYREQUESTS: 'too many requests',
  UNAUTHORIZED: 'authentication required',
  UNAVAILABLE: 'service unavailable',
  UNKNOWN: 'unknown error',
  UNSUPPORTED: 'The operation is unsupported.',
};

/** Reads a registry's or token server's error answer. */
export function refusalOf(
  answer: {
    readonly status: number;
    readonly statusText: string;
    readonly challengeHeader: string | readonly string[] | undefined;
  },
  body: string,
): RegistryRefusal {
  const { status } = answer;
  if (status < 400 || status >= 500) {
    return { status, code: null, text: `received unexpected HTTP status: ${String(status)} ${answer.statusText}` };
  }
  for (const { scheme, parameters } of parseChallenges(answer.challengeHeader)) {
    // RFC 6750 section 3.1.
    const code = { invalid_token: 'UNAUTHORIZED', insufficient_scope: 'DENIED' }[parameters['error'] ?? ''];
    if (scheme !== 'bearer' || code === undefined) continue;
    return refusal(status, code, parameters['error_description'] ?? DEFAULT_MESSAGES[code] ?? '');
  }
  const parsed = errorBody(body);
  if (parsed.kind === 'details') {
    const code = { 401: 'UNAUTHORIZED', 429: 'TOOMANYREQUESTS' }[status] ?? 'UNKNOWN';
    return refusal(status, code, parsed.text);
  }
  if (parsed.kind === 'errors') {
    const { message, hasDetail } = parsed.first;
    const code = parsed.first.code in DEFAULT_MESSAGES ? parsed.first.code : 'UNKNOWN';
    const saysMore = hasDetail || (message !== '' && message !== DEFAULT_MESSAGES[code]);
    return saysMore ? refusal(status, code, message) : { status, code: null, text: wordsOf(code) };
  }
  if (status === 401) return refusal(status, 'UNAUTHORIZED', DEFAULT_MESSAGES['UNAUTHORIZED'] ?? '');
  const shown = body.length > MAX_SHOWN ? `${body.slice(0, MAX_SHOWN)}…` : body;
  const text = `error parsing HTTP ${String(status)} response body: ${parsed.fault}: ${JSON.stringify(shown)}`;
  return { status, code: null, text };
}

/** The refusal of a manifest as an error about `reference`. */
export function manifestError(refused: RegistryRefusal, reference: NamedReference): EngineError {
  const { text } = refused;
  const unknown = new RegistrySaid('not-found', text);
  switch (refused.code) {
    case 'DENIED':
      return new NotFoundError(
        `pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${text}`,
        { cause: new RegistrySaid('forbidden', text) },
      );
    case 'MANIFEST_UNKNOWN':
      return new NotFoundError(`manifest for ${familiarString(reference)} not found: ${text}`, { cause: unknown });
    case 'NAME_UNKNOWN':
      return new NotFoundError(`repository ${familiarName(reference)} not found: ${text}`, { cause: unknown });
    default:
      return refusalError(refused, text);
  }
}

/** The refusal of a blob. Docker prints every 404 the same. */
export function blobError(refused: RegistryRefusal): EngineError {
  return refused.status === 404 ? new NotFoundError('unknown blob') : refusalError(refused, refused.text);
}

/** Any refusal with a text of the caller's. */
export function refusalError(refused: RegistryRefusal, text: string): EngineError {
  if (refused.status === 401 || refused.code === 'UNAUTHORIZED') return new UnauthorizedError(text);
  if (refused.status === 403 || refused.code === 'DENIED') return new ForbiddenError(text);
  if (refused.status === 429 || refused.status >= 500) return new UnavailableError(text);
  return new InternalError(text);
}

/** A schema 1 image: what current Docker says. */
export function schema1Error(reference: NamedReference): InvalidArgumentError {
  const tag = reference.tag === null ? '' : `:${reference.tag}`;
  const digest = reference.digest === null ? '' : `@${reference.digest}`;
  return new InvalidArgumentError(
    'Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. ' +
      `Suggest the author of ${canonicalName(reference)}${tag}${digest} to upgrade the image to the OCI Format or ` +
      'Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/',
  );
}

/** A request that got no answer, as Go prints it: `Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: …`. */
export function networkError(method: string, url: string, thrown: unknown): EngineError {
  return wrapRequestError(method, url, new UnavailableError(networkText(url, thrown), { cause: thrown }));
}

/** Prefixes an error with the request that met it, keeping its kind. What the address may prove is left out. */
export function wrapRequestError(method: string, url: string, error: EngineError): EngineError {
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  const text = `${verb} "${shownUrl(url)}": ${error.message}`;
  if (error instanceof UnauthorizedError) return new UnauthorizedError(text, { cause: error });
  if (error instanceof UnavailableError) return new UnavailableError(text, { cause: error });
  return new EngineError(error.kind, text, { cause: error });
}

function refusal(status: number, code: string, message: string): RegistryRefusal {
  return { status, code, text: `${wordsOf(code)}: ${message}` };
}

function wordsOf(code: string): string {
  return code.toLowerCase().replaceAll('_', ' ');
}

function networkText(url: string, thrown: unknown): string {
  const fault = firstFault(thrown);
  const code = errnoCodeOf(fault);
  const { hostname, port, protocol } = new URL(url);
  const target = `${addressOf(fault) ?? hostname}:${portOf(fault) ?? (port || (protocol === 'https:' ? '443' : '80'))}`;
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp ${target}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${target}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp ${target}: connect: network is unreachable`;
    case 'ENOTFOUND':
      return `dial tcp: lookup ${hostname}${nameServer()}: no such host`;
    case 'EAI_AGAIN':
      return `dial tcp: lookup ${hostname}${nameServer()}: server misbehaving`;
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return `dial tcp ${target}: i/o timeout`;
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return 'net/http: timeout awaiting response headers';
    case 'UND_ERR_SOCKET':
      return 'EOF';
    case 'UND_ERR_HEADERS_OVERFLOW':
      return 'net/http: server response headers exceeded the limit; aborted';
    case 'ECONNRESET':
    case 'EPIPE':
      return `read tcp ${target}: read: connection reset by peer`;
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'http: server gave HTTP response to HTTPS client';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: ${wrongName(fault, hostname)}`;
    case 'CERT_REVOKED':
      return 'tls: failed to verify certificate: x509: certificate has been revoked';
    case 'INVALID_PURPOSE':
      return 'tls: failed to verify certificate: x509: certificate specifies an incompatible key usage';
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'tls: server selected unsupported protocol version';
    default:
      return alertText(code) ?? messageOf(fault);
  }
}

/** The alerts of TLS (RFC 8446 section 6.2) as Go prints what the other side sent. */
const ALERTS: Readonly<Record<string, string>> = {
  ACCESS_DENIED: 'access denied',
  BAD_CERTIFICATE: 'bad certificate',
  CERTIFICATE_EXPIRED: 'expired certificate',
  CERTIFICATE_REQUIRED: 'certificate required',
  CERTIFICATE_REVOKED: 'revoked certificate',
  CERTIFICATE_UNKNOWN: 'unknown certificate',
  HANDSHAKE_FAILURE: 'handshake failure',
  INTERNAL_ERROR: 'internal error',
  PROTOCOL_VERSION: 'protocol version not supported',
  UNKNOWN_CA: 'unknown certificate authority',
  UNRECOGNIZED_NAME: 'unrecognized name',
  UNSUPPORTED_CERTIFICATE: 'unsupported certificate',
};

function alertText(code: string | null): string | null {
  const name = Object.keys(ALERTS).find((one) => code?.startsWith('ERR_SSL_') && code.endsWith(`_${one}`));
  return name === undefined ? null : `remote error: tls: ${ALERTS[name] ?? name}`;
}

/** Go names what the certificate is good for. */
function wrongName(fault: unknown, hostname: string): string {
  const { cert } = fault as { readonly cert?: { readonly subjectaltname?: string } };
  const names = (cert?.subjectaltname ?? '').split(', ').map((name) => /^(DNS|IP Address):(.*)$/.exec(name));
  const of = (kind: string): string[] => names.flatMap((name) => (name?.[1] === kind ? [name[2] ?? ''] : []));
  const host = hostname.replace(/^\[|\]$/g, '');
  const isAddress = isIP(host) !== 0;
  const valid = of(isAddress ? 'IP Address' : 'DNS');
  if (valid.length > 0) return `certificate is valid for ${valid.join(', ')}, not ${host}`;
  return isAddress
    ? `cannot validate certificate for ${host} because it doesn't contain any IP SANs`
    : `certificate is not valid for any names, but wanted to match ${host}`;
}

/** With several addresses (localhost) Node reports all failures; Go prints the first. */
function firstFault(thrown: unknown): unknown {
  if (thrown instanceof AggregateError) return thrown.errors[0] ?? thrown;
  // undici wraps what a proxy or a socket met.
  if (thrown instanceof Error && errnoCodeOf(thrown) === null && thrown.cause !== undefined)
    return firstFault(thrown.cause);
  return thrown;
}

function addressOf(fault: unknown): string | null {
  if (typeof fault !== 'object' || fault === null || !('address' in fault)) return null;
  const { address } = fault;
  if (typeof address !== 'string') return null;
  return address.includes(':') ? `[${address}]` : address;
}

function portOf(fault: unknown): string | null {
  if (typeof fault !== 'object' || fault === null || !('port' in fault)) return null;
  return typeof fault.port === 'number' ? String(fault.port) : null;
}

/** Go names the name server it asked. */
function nameServer(): string {
  const [server] = getServers();
  return server === undefined ? '' : ` on ${/^[\d.]+$/.test(server) ? `${server}:53` : server}`;
}
