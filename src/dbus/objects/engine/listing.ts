/** Finding and listing what there is. */
import { EngineError, InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { ContainerView, ImageView } from '../../../engine/index.ts';
import { detailsOfContainer } from '../../words/container-details.ts';
import type { Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type Variant } from '../../bus/exported.ts';
import { filterWordsOf } from '../../words/filter-words.ts';
import { imagePath, namedPath, pathOf } from '../../names.ts';
import { usecOf, usecOfText } from '../../bus/times.ts';
import { publishedPortsOf } from '../container/properties.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function listingMethods({ engine, words, facts }: ManagerParts): Methods {
  return {
    ListContainers: (_call: Call, given: Dictionary) => {
      const { all, limit, filters } = listOptionsOf(given);
      return [words.selectContainers(filterWordsOf(filters), { all, limit }).map(containerRow)];
    },
    ListImages: async (_call: Call, given: Dictionary) => {
      const { all, limit, filters } = listOptionsOf(given);
      const images = await words.selectImages(filterWordsOf(filters), { all });
      return [images.slice(0, limit ?? images.length).map(imageRow)];
    },
    GetContainer: (_call: Call, ref: string) => [pathOf('container', engine.containers.get(ref).id)],
    GetContainerByPID: (_call: Call, pid: number) => {
      const paths = facts.cgroupPathsOf(pid);
      if (paths.length === 0) throw new NotFoundError(`No such process: ${String(pid)}`);
      const view = engine.containers.list().find(({ cgroupPath }) => cgroupPath !== null && isIn(cgroupPath, paths));
      if (view === undefined) throw new NotFoundError(`No such container: process ${String(pid)} is in none`);
      return [pathOf('container', view.id)];
    },
    GetImage: (_call: Call, ref: string) => [imagePath(engine.images.get(ref).id)],
    GetNetwork: (_call: Call, ref: string) => [pathOf('network', engine.networks.get(ref).id)],
    GetVolume: (_call: Call, name: string) => [namedPath('volume', engine.volumes.get(name).name)],
  };
}

/** What polkit may look at of a container that is asked for by name; the bare name where there is none. */
export function detailsOfReference({ engine }: ManagerParts, ref: string): Readonly<Record<string, string>> {
  try {
    return detailsOfContainer(engine.containers.get(ref));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { container: ref };
  }
}

/** A container's own group, or one that its processes made below. */
function isIn(cgroupPath: string, paths: readonly string[]): boolean {
  const group = `/${cgroupPath.replace(/^\/+|\/+$/g, '')}`;
  return paths.some((path) => path === group || path.startsWith(`${group}/`));
}

/** `all` and `limit` are no filters in Docker's sense. */
function listOptionsOf({ all, limit, ...filters }: Dictionary): {
  readonly all: boolean;
  readonly limit: number | null;
  readonly filters: Dictionary;
} {
  if (all !== undefined && all.signature !== 'b') throw new InvalidArgumentError("all must be of type 'b'");
  if (limit !== undefined && limit.signature !== 'u') throw new InvalidArgumentError("limit must be of type 'u'");
  const count = (limit?.value as number | undefined) ?? 0;
  return { all: all?.value === true, limit: count === 0 ? null : count, filters };
}

function containerRow(view: ContainerView): readonly unknown[] {
  const { id, name, spec, state, createdAt } = view;
  const extra: Record<string, Variant> = {
    ImageId: variant('s', view.imageId),
    Command: variant('as', [view.path, ...view.args]),
    Labels: variant('a{ss}', spec.labels),
    PublishedPorts: variant('a(sqqs)', publishedPortsOf(view)),
    ...(state.status === 'exited' ? { ExitCode: variant('i', state.lastExit.exitCode) } : {}),
  };
  return [pathOf('container', id), id, name, spec.image, state.status, usecOf(createdAt), extra];
}

function imageRow(image: ImageView): readonly unknown[] {
  const extra: Record<string, Variant> = {
    RepoDigests: variant('as', image.digests),
    Labels: variant('a{ss}', image.config.config?.Labels ?? {}),
    Architecture: variant('s', image.config.architecture),
    Os: variant('s', image.config.os),
  };
  return [imagePath(image.id), image.id, image.tags, image.sizeBytes, usecOfText(image.config.created), extra];
}
