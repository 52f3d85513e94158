/** Contexts that are fetched: a tar or a Dockerfile by HTTP, or a git repository. Texts and rules are dockerd's. */
import { Readable } from 'node:stream';
import { EngineError, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import { peek } from '../../../base/peek.ts';
import { asLayer } from '../../images/magic.ts';
import { ProgressMeter } from '../../images/progress.ts';
import type { FetchedFile } from '../../registry/client.ts';
import type { BuildSink } from '../types.ts';
import type { ArrivedContext } from './arrived.ts';
import {
  checkedDockerfile,
  DEFAULT_DOCKERFILE,
  MOST_DOCKERFILE_BYTES,
  tooLarge,
  type FoundDockerfile,
} from './dockerfile.ts';
import { fetchRepository } from './git.ts';
import { isGitAddress } from './git-address.ts';
import type { ContextOptions } from './options.ts';

interface Request {
  readonly sink: BuildSink;
  readonly signal: AbortSignal;
}

const ACCEPTABLE = /(?:application\/(?:(?:x-)?tar|octet-stream|(?:x-)?(?:gzip|bzip2?|xz|zstd)))|(?:text\/plain)/;
const NAMELESS_TYPES = ['', 'application/octet-stream'];
/** What no text has: Go's `DetectContentType`. */

const BINARY = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;
/** As much of a file as tells what it is. */
const PREAMBLE_BYTES = 100;

/** InvalidArgumentError for an address that is none, and for what is neither; else the errors of who was asked. */
export async function fetchRemote(
  options: ContextOptions,
  { address, place }: { readonly address: string; readonly place: string },
  request: Request,
): Promise<ArrivedContext> {
  if (address === 'client-session') {
    throw new InvalidArgumentError(
      'experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead',
    );
  }
  if (isGitAddress(address))
    return { root: await fetchRepository(options, { address, place, isAskedFor: true }, request), dockerfile: null };
  if (!/^https?:\/\//.test(address))
    throw new InvalidArgumentError(`remoteURL (${address}) could not be recognized as URL`);
  const file = await download(options, address, request.signal);
  const onAbort = (): void => void file.body.destroy(request.signal.reason as Error);
  request.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const { isText, content } = await inspected(file);
    const counted = measured(options, { file, content }, request.sink);
    if (isText) return { root: place, dockerfile: await textOf(counted) };
    await options.gatherer.receive(place, await asLayer(counted), { signal: request.signal });
    return { root: place, dockerfile: null };
  } finally {
    request.signal.removeEventListener('abort', onAbort);
    file.body.destroy();
  }
}

async function download({ registry }: ContextOptions, address: string, signal: AbortSignal): Promise<FetchedFile> {
  try {
    return await registry.fetchFile(address, signal);
  } catch (error) {
    signal.throwIfAborted();
    const kind = error instanceof EngineError ? error.kind : 'unavailable';
    throw new EngineError(kind, `error downloading remote context ${address}: ${messageOf(error)}`, { cause: error });
  }
}

/** Whether it is a Dockerfile or a tar, by what the server says, else by its first bytes. */
async function inspected({
  address,
  contentType,
  body,
}: FetchedFile): Promise<{ readonly isText: boolean; readonly content: AsyncGenerator<Buffer, void, void> }> {
  const fault = (reason: string): InvalidArgumentError =>
    new InvalidArgumentError(`error detecting content type for remote ${address}: ${reason}`);
  const { head: start, whole } = await peek(body, PREAMBLE_BYTES);
  if (start.length === 0) throw fault('empty response');
  const isNameless = NAMELESS_TYPES.includes(contentType);
  const [type] = ACCEPTABLE.exec(isNameless ? sniffed(start) : contentType) ?? [];
  if (type === undefined) throw fault(`unsupported Content-Type ${JSON.stringify(contentType)}`);
  return { isText: type === 'text/plain', content: whole };
}

function sniffed(start: Buffer): string {
  return BINARY.test(start.toString('latin1', 0, PREAMBLE_BYTES)) ? 'application/octet-stream' : 'text/plain';
}

/** Tells how much has come. */
function measured(
  { clock }: ContextOptions,
  { file, content }: { readonly file: FetchedFile; readonly content: AsyncGenerator<Buffer, void, void> },
  sink: BuildSink,
): Readable {
  const meter = new ProgressMeter((progress) => void sink({ kind: 'progress', progress }), clock, {
    id: file.address,
    status: 'Downloading context',
    total: file.sizeBytes ?? 0,
  });
  const counted = async function* (): AsyncGenerator<Buffer> {
    let current = 0;
    for await (const chunk of content) {
      current += chunk.length;
      meter.update(current);
      yield chunk;
    }
  };
  return Readable.from(counted(), { objectMode: false });
}

async function textOf(content: Readable): Promise<FoundDockerfile> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of content as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_DOCKERFILE_BYTES) throw tooLarge(DEFAULT_DOCKERFILE);
    chunks.push(chunk);
  }
  return checkedDockerfile(Buffer.concat(chunks).toString('utf8'), DEFAULT_DOCKERFILE);
}
