import type { Readable } from 'node:stream';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonValue } from '../../base/json.ts';
import type { Context } from '../context.ts';
import { endOfValue, GoSyntaxError, hasMore } from './go-syntax.ts';
import { decodeAs, type Shape } from './go-struct.ts';

/** Far above any honest JSON request (a create with thousands of labels is some 100 KiB), far below our memory. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** Reads and decodes a JSON body; null when there is none, or it says `null`. InvalidArgumentError with Go's texts. */
export async function readJson<T>(context: Context, shape: Shape<T>): Promise<T | null> {
  checkContentType(context);
  const body = await readText(context.body);
  if (body === '') return null;
  const value = parseJson(body);
  return value === null ? null : decodeAs(shape, value);
}

/** As {@link readJson}, for requests that mean nothing without a body. */
export async function requireJson<T>(context: Context, shape: Shape<T>): Promise<T> {
  checkContentType(context);
  const body = await readText(context.body);
  if (body.trim() === '') throw new InvalidArgumentError('invalid JSON: got EOF while reading request body');
  const value = parseJson(body);
  return decodeAs(shape, value ?? {});
}

/** Docker's check: only where there is a body; parameters (`; charset=utf-8`) are welcome. */
export function checkContentType({ hasBody, fields }: Context): void {
  if (!hasBody) return;
  const type = fields.get('content-type') ?? '';
  if (type === '') {
    throw new InvalidArgumentError('malformed Content-Type header (): mime: no media type');
  }
  if (type.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json') {
    throw new InvalidArgumentError(`unsupported Content-Type header (${type}): must be 'application/json'`);
  }
}

/** The whole body as text, up to `limit` bytes. */
export async function readText(body: Readable, limit = MAX_JSON_BYTES): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new InvalidArgumentError('http: request body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** One JSON value; what follows it is an error, as dockerd 28 has it. */
export function parseJson(source: string): JsonValue {
  try {
    return JSON.parse(source) as JsonValue;
  } catch {
    // Only for the text: Node's own differ from Go's.
    const end = locateEnd(source);
    if (hasMore(source, end)) throw new InvalidArgumentError('unexpected content after JSON');
    return JSON.parse(source.slice(0, end)) as JsonValue;
  }
}

function locateEnd(source: string): number {
  try {
    return endOfValue(source);
  } catch (error) {
    if (error instanceof GoSyntaxError) throw new InvalidArgumentError(`invalid JSON: ${error.message}`);
    throw error;
  }
}
