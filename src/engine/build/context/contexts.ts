import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf, messageOf } from '../../../base/errors.ts';
import { cleanPath, PathPatterns } from '../../dockerfile/patterns.ts';
import { asLayer } from '../../images/magic.ts';
import type { ContextSource } from '../types.ts';
import type { ArrivedContext } from './arrived.ts';
import { openDirectory } from './directory.ts';
import { DEFAULT_DOCKERFILE, findDockerfile } from './dockerfile.ts';
import { IGNORE_FILE } from './ignore-file.ts';
import { ignoredBelow } from './ignored.ts';
import type { ContextOptions } from './options.ts';
import { removeBelow } from './own-files.ts';
import { fetchRemote } from './remote.ts';
import type { BuildContext, Contexts } from './types.ts';

type OpenOptions = Parameters<Contexts['open']>[1];

/** {@link Contexts} in one directory, each in one of its own. */
export function createContexts(options: ContextOptions): Contexts {
  return {
    open: async (source, request) =>
      openContext(options, source, { ...request, dockerfile: nameOf(request.dockerfile) }),
    async sweep() {
      for (const name of await namesIn(options.directory)) await options.gatherer.remove(join(options.directory, name));
    },
  };
}

async function openContext(
  options: ContextOptions,
  source: ContextSource,
  request: OpenOptions,
): Promise<BuildContext> {
  const { files, gatherer, directory, logger } = options;
  // Whatever befalls it before somebody reads it is told to who does.
  if (source.kind === 'tar') source.tar.on('error', () => undefined);
  request.signal.throwIfAborted();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const place = await mkdtemp(join(directory, 'context-'));
  const remove = async (): Promise<void> => {
    try {
      await gatherer.remove(place);
    } catch (error) {
      // The next start takes it away.
      logger.warn(`build context ${place} was not removed: ${messageOf(error)}`);
    }
  };
  try {
    const { root, dockerfile } = await arrive(options, { source, place }, request);
    const found = dockerfile ?? (await findDockerfile(files, root, request.dockerfile));
    if (dockerfile === null) await leaveOut(options, { source, root, dockerfile: found.name }, request);
    return {
      root,
      dockerfile: async (path) =>
        nameOf(path) === request.dockerfile ? found : findDockerfile(files, root, nameOf(path)),
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    request.signal.throwIfAborted();
    throw error;
  }
}

/** Clients that name none mean the usual one. */
function nameOf(path: string): string {
  return path === '' ? DEFAULT_DOCKERFILE : path;
}

async function arrive(
  options: ContextOptions,
  { source, place }: { readonly source: ContextSource; readonly place: string },
  request: OpenOptions,
): Promise<ArrivedContext> {
  switch (source.kind) {
    case 'tar': {
      const { tar } = source;
      const onAbort = (): void => void tar.destroy(request.signal.reason as Error);
      request.signal.addEventListener('abort', onAbort, { once: true });
      try {
        await options.gatherer.receive(place, await asLayer(tar), { signal: request.signal });
      } finally {
        request.signal.removeEventListener('abort', onAbort);
      }
      return { root: place, dockerfile: null };
    }
    case 'remote':
      return fetchRemote(options, { address: source.address, place }, request);
    case 'directory':
      return { root: place, dockerfile: await openDirectory(options, { source, place }, request) };
  }
}

/**
 * A client has filtered its tar, but for the Dockerfile and the list itself, which go here if they are in it, as in dockerd.
 * Nobody has filtered what was fetched. (A directory is filtered while it is read.)
 */
async function leaveOut(
  { files, gatherer }: ContextOptions,
  { source, root, dockerfile }: { readonly source: ContextSource; readonly root: string; readonly dockerfile: string },
  { signal }: OpenOptions,
): Promise<void> {
  if (source.kind === 'directory') return;
  if (source.kind === 'remote') {
    await gatherer.sift(root, { excludes: await ignoredBelow(files, root, dockerfile), signal });
    return;
  }
  const patterns = new PathPatterns(await ignoredBelow(files, root, null));
  for (const path of [IGNORE_FILE, cleanPath(`/${dockerfile}`).slice(1)])
    if (patterns.matches(path)) await removeBelow(files, root, path);
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
