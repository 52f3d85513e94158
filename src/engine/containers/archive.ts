/** `docker cp`: what is at a path of a container, out of it and into it; see storage/copying.ts for how that is safe. */
import { Readable } from 'node:stream';
import { errnoCodeOf, InvalidArgumentError, messageOf, NotFoundError } from '../../base/errors.ts';
import { decompressed, isCompressed, MAGIC_BYTES } from '../images/magic.ts';
import type { PathArchive, PathStat } from '../storage/copying.ts';
import { holdView, type HeldView } from './archive/view.ts';
import { refuseLeaving } from './images/commit.ts';
import type { Container } from './container.ts';
import { publish, type Room } from './room.ts';
import { isLive } from './state.ts';
import type { ExtractOptions } from './types.ts';
import { resolveUser } from './setup/user.ts';

/** What is at a path. NotFoundError in Docker's words. */
export async function statPath(room: Room, ref: string, path: string, signal?: AbortSignal): Promise<PathStat> {
  const container = copyable(room, ref);
  return held(room, container, async ({ view, signal: cut }) => {
    const both = signal === undefined ? cut : AbortSignal.any([signal, cut]);
    return (await room.copier.look(view, path, both)) ?? notThere(ref, path);
  });
}

/** What is at a path with all below it, as a tar. NotFoundError in Docker's words. */
export async function archivePath(room: Room, ref: string, path: string, signal: AbortSignal): Promise<PathArchive> {
  const container = copyable(room, ref);
  using open = new DisposableStack();
  const archive = await held(
    room,
    container,
    async ({ view, signal: cut }) =>
      (await room.copier.read(view, path, AbortSignal.any([signal, cut]))) ?? notThere(ref, path),
    open,
  );
  publish(room, container, 'archive-path');
  return { stat: archive.stat, chunks: whileHeld(archive.chunks, open.move()) };
}

/** Unpacks a tar (plain, gzip, zstd, bzip2, xz) into a directory. NotFoundError, InvalidArgumentError in Docker's words. */
export async function extractTo(
  room: Room,
  ref: string,
  path: string,
  { tar, options }: { readonly tar: Readable; readonly options: ExtractOptions },
): Promise<void> {
  const container = copyable(room, ref);
  const { host, user } = container.document.spec;
  const mounts = container.document.mounts.map(({ destination, readOnly }) => ({ destination, readOnly }));
  using at = await holdView(room, container);
  const owner = options.toUser && user !== '' ? resolveUser(room.files, container.paths.rootfs, user, []) : null;
  using _touching = room.knownSizes.touching(container);
  const isThere = await room.copier.write(at.view, path, {
    tar: plain(tar),
    options: {
      keepsKinds: options.keepsKinds,
      owner: owner === null ? null : { uid: owner.uid, gid: owner.gid },
      readOnlyRoot: host.readonlyRootfs,
      mounts,
    },
    signal: AbortSignal.any([options.signal, at.signal]),
  });
  if (!isThere) notThere(ref, path);
  publish(room, container, 'extract-to-dir');
}

/** The archive without its compression; one that is broken is the client's fault. */
async function* plain(tar: Readable): AsyncGenerator<Buffer, void, void> {
  try {
    const chunks = tar[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    const first = await chunks.next();
    if (first.done === true) return;
    const whole = startingWith(first.value, chunks);
    // A plain one goes through untouched: another stream about it would cost as much as the copy.
    const isPlain = first.value.length >= MAGIC_BYTES && !isCompressed(first.value);
    if (isPlain) yield* whole;
    else
      for await (const chunk of await decompressed(Readable.from(whole, { objectMode: false }))) yield chunk as Buffer;
  } catch (error) {
    const code = errnoCodeOf(error) ?? '';
    if (!/^(Z_|ZSTD_|ERR_ZSTD)/.test(code)) throw error;
    throw new InvalidArgumentError(messageOf(error), { cause: error });
  }
}

async function* startingWith(
  first: Buffer,
  rest: AsyncIterator<Buffer, undefined>,
): AsyncGenerator<Buffer, void, void> {
  yield first;
  for (;;) {
    const { value, done } = await rest.next();
    if (done === true) return;
    yield value;
  }
}

function copyable(room: Room, ref: string): Container {
  const container = room.registry.resolve(ref);
  refuseLeaving(container, 'copy');
  return container;
}

/**
 * Does `job` with the container's files at hand, and once more when what ran has ended just before. With `until` they stay
 * at hand after it has succeeded, for as long as that is not disposed.
 */
async function held<T>(
  room: Room,
  container: Container,
  job: (held: HeldView) => Promise<T>,
  until?: DisposableStack,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    using stack = new DisposableStack();
    const at = stack.use(await holdView(room, container));
    try {
      const result = await job(at);
      until?.use(stack.move());
      return result;
    } catch (error) {
      const { process } = at.view.plan;
      const { state } = container;
      const isOver = process !== null && !(isLive(state) && state.pid === process.pid);
      if (!isOver || attempt > 1 || error instanceof NotFoundError) throw error;
    }
  }
}

async function* whileHeld(chunks: PathArchive['chunks'], held: DisposableStack): PathArchive['chunks'] {
  using _held = held;
  yield* chunks;
}

function notThere(ref: string, path: string): never {
  throw new NotFoundError(`Could not find the file ${path} in container ${ref}`);
}
