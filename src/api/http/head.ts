/**
 * The head of an HTTP/1.1 request (RFC 9112 §3, §5), strict where leniency would let two readers disagree.
 *
 *   POST /v1.51/containers/create?name=a HTTP/1.1 CRLF
 *   Host: docker CRLF
 *   Content-Length: 17 CRLF
 *   CRLF
 */

/** Header fields by lower-case name; repeated ones joined with `, `. */
export type HeaderFields = ReadonlyMap<string, string>;

/** How the end of a request's body is found. */
export type BodyFraming =
  { readonly kind: 'none' } | { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' };

export interface RequestHead {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  readonly fields: HeaderFields;
  readonly framing: BodyFraming;
  /** True when the connection may carry another request after this one. */
  readonly keepAlive: boolean;
}

/** What a peer sent is not HTTP as we speak it; the connection ends after the answer. */
export class ProtocolError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.status = status;
  }
}

/** Go's own default bound (`DefaultMaxHeaderBytes`): `X-Registry-Config` may carry many credentials. */
export const MAX_HEAD_BYTES = 1024 * 1024;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const REQUEST_LINE = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/;
const FORBIDDEN_IN_VALUE = /[\0-\x08\x0a-\x1f\x7f]/;
const END = Buffer.from('\r\n\r\n');

/**
 * Reads one head from the start of `bytes`. Null when it is not complete yet; otherwise the head and how many bytes
 * it took. Throws ProtocolError.
 */
export function parseHead(bytes: Buffer): { readonly head: RequestHead; readonly length: number } | null {
  let start = 0;
  // Empty lines before a request are to be skipped (RFC 9112 §2.2).
  while (bytes[start] === 0x0d && bytes[start + 1] === 0x0a) start += 2;
  const end = bytes.indexOf(END, start);
  if (end < 0) {
    if (bytes.length - start > MAX_HEAD_BYTES) throw new ProtocolError(431, 'Request Header Fields Too Large');
    return null;
  }
  if (end - start > MAX_HEAD_BYTES) throw new ProtocolError(431, 'Request Header Fields Too Large');
  const lines = bytes.toString('latin1', start, end).split('\r\n');
  return { head: headOf(lines), length: end + END.length };
}

function headOf(lines: readonly string[]): RequestHead {
  const [method, target, minor] = REQUEST_LINE.exec(lines[0] ?? '')?.slice(1) ?? [];
  if (method === undefined || target === undefined) {
    const isOtherVersion = /^[A-Z]+ \S+ HTTP\//.test(lines[0] ?? '');
    throw new ProtocolError(isOtherVersion ? 505 : 400, isOtherVersion ? 'HTTP Version Not Supported' : 'Bad Request');
  }
  const fields = fieldsOf(lines);
  const minorVersion = minor === '0' ? 0 : 1;
  if (minorVersion === 1 && !fields.has('host'))
    throw new ProtocolError(400, 'Bad Request: missing required Host header');
  const connection = (fields.get('connection') ?? '').toLowerCase();
  const keepAlive = minorVersion === 1 ? !/\bclose\b/.test(connection) : /\bkeep-alive\b/.test(connection);
  return { method, target, minorVersion, fields, framing: framingOf(fields), keepAlive };
}

function fieldsOf(lines: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let i = 1; i < lines.length; i += 1) {
    const line = lines[i] ?? '';
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (colon < 1 || !TOKEN.test(name) || FORBIDDEN_IN_VALUE.test(value)) {
      throw new ProtocolError(400, 'Bad Request: malformed header');
    }
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

function framingOf(fields: HeaderFields): BodyFraming {
  const coding = fields.get('transfer-encoding');
  const length = fields.get('content-length');
  if (coding !== undefined) {
    // Both at once is how requests are smuggled past a proxy: refuse (RFC 9112 §6.1).
    if (length !== undefined) throw new ProtocolError(400, 'Bad Request: both Content-Length and Transfer-Encoding');
    if (coding.toLowerCase() !== 'chunked') throw new ProtocolError(501, 'Unsupported transfer encoding');
    return { kind: 'chunked' };
  }
  if (length === undefined) return { kind: 'none' };
  const [first, ...others] = length.split(',').map((text) => text.trim());
  if (first === undefined || !/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) {
    throw new ProtocolError(400, 'Bad Request: bad Content-Length');
  }
  const bytes = Number(first);
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', length: bytes };
}
