/**
 * Archives from before manifest.json (Docker < 1.10), which other tools wrote for long after:
 *
 * ```
 * repositories            {"name": {"tag": "VERSION", …}, …}
 * VERSION/json            the config of one step, with its parent's VERSION
 * VERSION/layer.tar       its layer, plain
 * ```
 */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { parseReference, withDefaultTag, type NamedReference } from '../../oci/reference.ts';
import type { ImageParts } from './oci-layout.ts';
import { compressionOf } from '../magic.ts';
import { spooledDigest, type SpooledArchive, type SpooledFile } from './spool.ts';

type Json = Readonly<Record<string, unknown>>;

/** Steps of one image: more is a loop. Docker allows 127 layers. */
const MAX_STEPS = 1000;
/** What dockerd takes out of an old config. */
const DROPPED = new Set(['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway']);

/** The named images of such an archive, with configs as dockerd makes them: the same ids. */
export function legacyImages(archive: SpooledArchive): readonly ImageParts[] {
  const versions = new Map<string, NamedReference[]>();
  for (const [name, tags] of Object.entries(objectOf(archive.readSmall('repositories'), 'repositories'))) {
    for (const [tag, version] of Object.entries(asObject(tags, 'repositories'))) {
      if (typeof version !== 'string') throw invalid('repositories');
      const names = versions.get(version) ?? [];
      names.push({ ...withDefaultTag(parseReference(name)), tag });
      versions.set(version, names);
    }
  }
  return [...versions].map(([version, names]) => imageOf(archive, version, names));
}

interface OldStep {
  readonly config: Json;
  readonly layer: SpooledFile;
}

function imageOf(archive: SpooledArchive, version: string, names: readonly NamedReference[]): ImageParts {
  const steps = stepsOf(archive, version);
  const files = steps.map(({ layer }) => layer);
  const history = steps.map(({ config }) => historyOf(config));
  const top = steps.at(-1)?.config ?? {};
  const kept = Object.entries(top).filter(([key]) => !DROPPED.has(key));
  const rootfs = { type: 'layers', diff_ids: files.map(spooledDigest) };
  // Go prints maps in the order of their keys.
  const entries = [...kept, ['rootfs', rootfs] as const, ['history', history] as const].sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return { configBytes: Buffer.from(JSON.stringify(Object.fromEntries(entries))), files, names, manifestBytes: null };
}

/** Lowest first. */
function stepsOf(archive: SpooledArchive, version: string): readonly OldStep[] {
  const steps: OldStep[] = [];
  for (let at: string | null = version; at !== null;) {
    if (steps.length >= MAX_STEPS) throw new InvalidArgumentError('invalid archive: parents are in a circle');
    if (archive.get(`${at}/json`) === null) throw new InvalidArgumentError(`invalid target ID: ${at}`);
    const config = objectOf(archive.readSmall(`${at}/json`), `${at}/json`);
    const layer = archive.mustHave(`${at}/layer.tar`);
    if (compressionOf(layer.kind === 'bytes' ? layer.bytes : layer.head) !== 'none') {
      throw new InvalidArgumentError('compressed layers are not supported in an archive without manifest.json');
    }
    steps.unshift({ config, layer });
    const { parent } = config;
    at = typeof parent === 'string' && parent !== '' ? parent : null;
  }
  return steps;
}

function historyOf(config: Json): Json {
  const { created, author, comment } = config;
  const command = asObject(config['container_config'] ?? {}, 'json')['Cmd'];
  const createdBy = Array.isArray(command) ? command.join(' ') : '';
  return {
    ...(created === undefined ? {} : { created }),
    ...(typeof author === 'string' && author !== '' ? { author } : {}),
    ...(createdBy === '' ? {} : { created_by: createdBy }),
    ...(typeof comment === 'string' && comment !== '' ? { comment } : {}),
  };
}

function objectOf(bytes: Buffer, name: string): Json {
  try {
    return asObject(JSON.parse(bytes.toString('utf8')), name);
  } catch (error) {
    throw error instanceof InvalidArgumentError ? error : invalid(name);
  }
}

function asObject(value: unknown, name: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw invalid(name);
}

function invalid(name: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid archive: ${name} is not what it must be`);
}
