import { InvalidArgumentError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { PlaceRequest, TreeBuilder } from '../../storage/building.ts';
import { parseMode } from '../../storage/file-modes.ts';
import { destinationOf } from './destination.ts';
import { digestOfCopy, labelOf } from './identity.ts';
import type { CopiesOptions } from './options.ts';
import { findSources } from './sources.ts';
import type { Copies, CopyRequest, PreparedCopy } from './types.ts';

/** {@link Copies} by a {@link TreeBuilder}. */
export function createCopies(options: CopiesOptions): Copies {
  return {
    prepare: async (request) => prepare(options, request),
    makeDirectory: async ({ parent, path, owner, sourceDateEpoch, draftPath, signal }) =>
      options.builder.makeDirectory({
        parent,
        path: destinationOf('/', path),
        owner: owner === '' ? null : owner,
        latestTime: sourceDateEpoch,
        blobPath: draftPath,
        signal,
      }),
  };
}

async function prepare(options: CopiesOptions, request: CopyRequest): Promise<PreparedCopy> {
  const { words, sourceDateEpoch } = request;
  // Said before anything is fetched or read.
  if (words.chmod !== null) parseMode(words.chmod);
  const destination = destinationOf(request.workingDirectory, words.destination);
  const held = new Undo();
  return Undo.guard(async (failed) => {
    failed.defer(async () => {
      await held.rollBack();
    });
    const sources = await findSources(options, request, held);
    if (sources.length > 1 && !destination.endsWith('/')) throw manySources(request);
    const place = {
      isIndependent: words.link,
      sources,
      destination,
      excludes: words.excludes,
      owner: words.chown,
      keepsOwners: words.chown === null && request.from.kind === 'layers',
      mode: words.chmod,
      latestTime: sourceDateEpoch,
    };
    return preparedCopy(options.builder, place, held);
  });
}

function preparedCopy(
  builder: TreeBuilder,
  place: Omit<PlaceRequest, 'parent' | 'blobPath' | 'signal'>,
  held: Undo,
): PreparedCopy {
  return {
    digest: digestOfCopy(place),
    label: labelOf(place.sources),
    apply: async ({ parent, draftPath, signal }) => builder.place({ ...place, parent, blobPath: draftPath, signal }),
    [Symbol.asyncDispose]: async () => {
      const [failure] = await held.rollBack();
      if (failure !== undefined) throw failure as Error;
    },
  };
}

function manySources({ verb }: CopyRequest): InvalidArgumentError {
  return new InvalidArgumentError(
    `When using ${verb.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
  );
}
