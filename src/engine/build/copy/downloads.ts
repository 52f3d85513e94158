/** `ADD https://…`: one file, called as its address or its server says, readable by root alone, as old as the server says. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, open, utimes } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { EngineError, InvalidArgumentError, UnavailableError } from '../../../base/errors.ts';
import { diskFault } from '../../../base/errno-text.ts';
import { ProgressMeter } from '../../images/progress.ts';
import type { FetchedFile } from '../../registry/client.ts';
import type { FoundSource } from '../../storage/building.ts';
import { DiskGuard } from '../../storage/disk-guard.ts';
import type { CopiesOptions, SourceRequest } from './options.ts';

/** The file on our disk; what it is called in the layer is another matter. */
const OWN_NAME = 'file';
const UNNAMED = '__unnamed__';
const MODE = 0o600;

export function isDownload(source: string): boolean {
  return /^https?:\/\//.test(source);
}

/** Downloads into the empty directory `place`, and tells progress. */
export async function download(
  options: CopiesOptions,
  { address, place }: { readonly address: string; readonly place: string },
  request: SourceRequest,
): Promise<FoundSource> {
  const { words, sink, signal } = request;
  const file = await fetched(options, address, signal);
  try {
    const name = nameOf(address, file, words.destination);
    await mkdir(place, { recursive: true, mode: 0o700 });
    const digest = await save(options, file, { path: join(place, OWN_NAME), sink, signal });
    if (words.checksum !== null && words.checksum !== digest)
      throw new InvalidArgumentError(`ADD failed: digest mismatch ${digest}: ${words.checksum}`);
    await sink({ kind: 'stream', text: '\n' });
    const found = await options.builder.survey(
      {
        verb: 'ADD',
        root: place,
        isContext: true,
        sources: [OWN_NAME],
        excludes: [],
        parents: false,
        findsArchives: words.unpack === true,
      },
      signal,
    );
    const [only] = found.flat();
    if (only === undefined) throw new InvalidArgumentError('ADD failed: no source files were specified');
    return { ...only, name: Buffer.from(name).toString('latin1') };
  } finally {
    file.body.destroy();
  }
}

/** What the server says, after dockerd's words. */
async function fetched({ registry }: CopiesOptions, address: string, signal: AbortSignal): Promise<FetchedFile> {
  try {
    return await registry.fetchFile(address, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof EngineError)) throw error;
    const message = `ADD failed: ${error.message}`;
    throw error.kind === 'unavailable'
      ? new UnavailableError(message, { cause: error })
      : new InvalidArgumentError(message, { cause: error });
  }
}

/** dockerd's rule: the address first, then the server. */
function nameOf(address: string, { contentDisposition }: FetchedFile, destination: string): string {
  const named = lastPart(URL.canParse(address) ? decoded(new URL(address).pathname) : '');
  if (named !== '') return named;
  const disposed = lastPart(/;\s*filename="?([^";]+)"?/i.exec(contentDisposition)?.[1] ?? '');
  if (disposed !== '') return disposed;
  if (destination.endsWith('/'))
    throw new InvalidArgumentError(`ADD failed: cannot determine filename for source ${address}`);
  return UNNAMED;
}

function lastPart(path: string): string {
  const name = path.endsWith('/') ? '' : posix.basename(path);
  return name === '.' || name === '..' || name.includes('\0') ? '' : name;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // A percent sign that quotes nothing stands for itself.
    return path;
  }
}

/** Gives the digest of what came. */
async function save(
  { clock }: CopiesOptions,
  { body, sizeBytes, lastModified }: FetchedFile,
  { path, sink, signal }: Pick<SourceRequest, 'sink' | 'signal'> & { readonly path: string },
): Promise<string> {
  const hash = createHash('sha256');
  const meter = new ProgressMeter((progress) => void sink({ kind: 'progress', progress }), clock, {
    status: 'Downloading',
    total: sizeBytes ?? 0,
  });
  const onAbort = (): void => void body.destroy(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const handle = await open(path, 'wx', MODE);
    await using _file = handle;
    const guard = new DiskGuard(dirname(path));
    let written = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      guard.take(chunk.length);
      hash.update(chunk);
      await handle.writeFile(chunk);
      written += chunk.length;
      meter.update(written);
    }
  } catch (error) {
    throw diskFault('write', path, error);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  await chmod(path, MODE);
  const time = Date.parse(lastModified);
  const seconds = Number.isNaN(time) ? 0 : time / 1000;
  await utimes(path, seconds, seconds);
  return `sha256:${hash.digest('hex')}`;
}
