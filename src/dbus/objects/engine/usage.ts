/** What the engine says of itself and of the disk. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { EVERY_IMAGE, layerBytesOf, PRUNE_NOTHING, type Engine, type PruneType } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type Variant } from '../../bus/exported.ts';
import { dictionaryOfJson } from '../../bus/json-variant.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function usageMethods({ engine, words }: ManagerParts): Methods {
  return {
    GetInfo: async () => [dictionaryOfJson(await words.info())],
    GetDiskUsage: async (_call: Call, types: readonly string[], options: Dictionary) => {
      decodeDictionary({}, options);
      const wanted = types.length === 0 ? Object.keys(MEASURES) : types;
      const usage: Record<string, Variant> = {};
      for (const type of wanted) {
        const measure = Object.hasOwn(MEASURES, type) ? MEASURES[type] : undefined;
        if (measure === undefined) throw new InvalidArgumentError(`unknown object type: ${type}`);
        usage[type] = variant('a{sv}', await usageOf(engine, type as PruneType, measure));
      }
      return [usage];
    },
  };
}

interface Measured {
  readonly count: number;
  readonly active: number;
  readonly bytes: number;
}
type Measure = (engine: Engine) => Promise<Measured>;

const MEASURES: Readonly<Record<string, Measure>> = {
  container: measureContainers,
  image: measureImages,
  volume: measureVolumes,
  'build-cache': measureBuildCache,
};

/** `Reclaimable` is what a prune of all that is unused would bring now. */
async function usageOf(engine: Engine, type: PruneType, measure: Measure): Promise<Readonly<Record<string, Variant>>> {
  const { count, active, bytes } = await measure(engine);
  const buildCache = { all: true, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, filters: {} };
  const unused = { ...PRUNE_NOTHING, types: [type], danglingOnly: false, namedVolumes: true, buildCache };
  const { reclaimableBytes } = await engine.prune.preview(unused);
  return {
    Count: variant('u', count),
    Active: variant('u', active),
    Size: variant('t', bytes),
    Reclaimable: variant('t', reclaimableBytes),
  };
}

async function measureContainers({ containers }: Engine): Promise<Measured> {
  const all = containers.list();
  let bytes = 0;
  // It may be removed while we measure.
  for (const { id } of all) bytes += (await containers.sizes(id).catch(() => null))?.writableBytes ?? 0;
  return { count: all.length, active: all.filter(({ state }) => 'pid' in state).length, bytes };
}

async function measureImages({ containers, images }: Engine): Promise<Measured> {
  const all = await images.list(EVERY_IMAGE);
  const used = new Set(containers.list().map(({ imageId }) => imageId));
  return {
    count: all.length,
    active: all.filter(({ id }) => used.has(id)).length,
    bytes: layerBytesOf(all),
  };
}

async function measureVolumes({ volumes }: Engine): Promise<Measured> {
  const all = volumes.list();
  let bytes = 0;
  for (const { name } of all) bytes += await volumes.usage(name).catch(() => 0);
  return { count: all.length, active: all.filter(({ name }) => volumes.usersOf(name).length > 0).length, bytes };
}

async function measureBuildCache({ build }: Engine): Promise<Measured> {
  const all = await build.cache();
  return {
    count: all.length,
    active: all.filter(({ inUse }) => inUse).length,
    // As docker: what images hold too counts there.
    bytes: all.reduce((sum, { shared, sizeBytes }) => sum + (shared ? 0 : sizeBytes), 0),
  };
}
