/** Images on the wire: list rows, inspect, history, removal. */
import { formatTimestamp, parseTimestamp, secondsOf, ZERO_TIME_TEXT } from '../../base/clock.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import type { ImageHistoryRow, ImageRemoval, ImageView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { CONTAINER_CONFIG } from './container-config.ts';
import { decodeAs, encodeAs } from './go-struct.ts';

/** `Created` as Docker's integer; 0 when the image does not say. */
export function createdSeconds(created: string | undefined): number {
  const time = parseTimestamp(created ?? '');
  return time === null ? 0 : secondsOf(time);
}

/** A row of `GET /images/json`. `containers` and `sharedBytes` are -1 where nobody asked. */
export function imageRow(
  image: ImageView,
  options: { readonly version: ApiVersion; readonly containers: number; readonly sharedBytes: number },
): JsonValue {
  const { version } = options;
  const labels = image.config.config?.Labels ?? null;
  return {
    Containers: options.containers,
    Created: createdSeconds(image.config.created),
    Id: image.id,
    Labels: labels,
    ParentId: image.parent ?? '',
    ...referencesOf(image, version),
    SharedSize: options.sharedBytes,
    Size: image.sizeBytes,
    ...(version.before('1.44') ? { VirtualSize: image.sizeBytes } : {}),
  };
}

/** Below 1.43 an empty list is null, and an image without any name shows `<none>:<none>`. */
function referencesOf({ tags, digests }: ImageView, version: ApiVersion): Record<string, JsonValue> {
  if (!version.before('1.43')) return { RepoDigests: digests, RepoTags: tags };
  if (tags.length === 0 && digests.length === 0) {
    return { RepoDigests: ['<none>@<none>'], RepoTags: ['<none>:<none>'] };
  }
  return { RepoDigests: digests.length === 0 ? null : digests, RepoTags: tags.length === 0 ? null : tags };
}

/** `GET /images/{name}/json`. */
export function imageDocument(
  image: ImageView,
  options: {
    readonly version: ApiVersion;
    readonly storageDriver: string;
    /** Words of `GraphDriver.Data`. */
    readonly storage: Readonly<Record<string, string>>;
    /** Shown in every version: Compose v1 asks in the newest, and recreates no container without them. */
    readonly needsBuilderFields?: boolean;
  },
): JsonValue {
  const { version, needsBuilderFields = false } = options;
  const dataWords = Object.keys(options.storage);
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: image.parent ?? '',
    Comment: commentOf(config),
    ...(version.before('1.44') || config.created !== undefined ? { Created: createdText(config.created) } : {}),
    ...(needsBuilderFields || version.before('1.45') ? builderFields(config) : {}),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: runConfigDocument(image, version),
    Architecture: config.architecture,
    ...(config.variant === undefined || config.variant === '' ? {} : { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] === undefined || config['os.version'] === '' ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    ...(version.before('1.44') ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: { Data: dataWords.length === 0 ? null : options.storage, Name: options.storageDriver },
    RootFS: {
      Type: 'layers',
      ...(config.rootfs.diff_ids.length === 0 ? {} : { Layers: config.rootfs.diff_ids }),
    },
    Metadata: { LastTagTime: image.lastTaggedAt === null ? ZERO_TIME_TEXT : formatTimestamp(image.lastTaggedAt) },
  };
}

/** The image's own, or what the step that made it said. */
function commentOf({ comment = '', history = [] }: ImageView['config']): string {
  return comment === '' ? (history.at(-1)?.comment ?? '') : comment;
}

function createdText(created: string | undefined): string {
  if (created === undefined) return ZERO_TIME_TEXT;
  const time = parseTimestamp(created);
  return time === null ? created : formatTimestamp(time);
}

/** The container that Docker's first builder made the image of. */
function builderFields({ container = '', container_config: given }: ImageView['config']): Record<string, JsonValue> {
  return {
    ...(container === '' ? {} : { Container: container }),
    ContainerConfig: encodeAs(CONTAINER_CONFIG, decodeAs(CONTAINER_CONFIG, (given ?? {}) as JsonValue)),
  };
}

/** What an image says of its containers, by image-spec and Docker's extension of it; empty ones are left out … */
const IMAGE_FIELDS: ReadonlySet<string> = new Set([
  'ArgsEscaped',
  'Cmd',
  'Entrypoint',
  'Env',
  'ExposedPorts',
  'Healthcheck',
  'Labels',
  'OnBuild',
  'Shell',
  'StopSignal',
  'User',
  'Volumes',
  'WorkingDir',
]);

/** … but for these, which clients look for. */
const ALWAYS_SHOWN: Readonly<Record<string, JsonValue>> = {
  Cmd: null,
  Entrypoint: null,
  Env: null,
  Labels: null,
  OnBuild: null,
  User: '',
  Volumes: null,
  WorkingDir: '',
};

/** Fields of containers, which images showed before 1.50. */
const CONTAINER_FIELDS: Readonly<Record<string, JsonValue>> = {
  AttachStderr: false,
  AttachStdin: false,
  AttachStdout: false,
  Domainname: '',
  Hostname: '',
  Image: '',
  OpenStdin: false,
  StdinOnce: false,
  Tty: false,
};

function runConfigDocument(image: ImageView, version: ApiVersion): JsonValue {
  const given = decodeAs(CONTAINER_CONFIG, (image.config.config ?? {}) as JsonValue);
  const own = Object.entries(encodeAs(CONTAINER_CONFIG, given) as JsonObject).filter(
    ([name, value]) => IMAGE_FIELDS.has(name) && !isEmpty(value),
  );
  const shown = {
    ...ALWAYS_SHOWN,
    ...(version.before('1.50') ? CONTAINER_FIELDS : {}),
    ...Object.fromEntries(own),
  };
  // Go prints maps in the order of their keys.
  return Object.fromEntries(Object.entries(shown).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What Go's `omitempty` leaves out. */
function isEmpty(value: JsonValue | undefined): boolean {
  if (value === null || value === undefined || value === '' || value === false || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** A row of `GET /images/{name}/history`. */
export function historyRow({ id, entry, sizeBytes, tags }: ImageHistoryRow): JsonValue {
  return {
    Comment: entry.comment ?? '',
    Created: createdSeconds(entry.created),
    CreatedBy: entry.created_by ?? '',
    Id: id,
    Size: sizeBytes,
    Tags: tags.length === 0 ? null : tags,
  };
}

/** A row of `DELETE /images/{name}`. */
export function removalRow(removal: ImageRemoval): JsonValue {
  return 'untagged' in removal ? { Untagged: removal.untagged } : { Deleted: removal.deleted };
}
