/** Images on the wire: list rows, inspect, history, removal. */
import { formatTimestamp, parseTimestamp, secondsOf, ZERO_TIME_TEXT } from '../../base/clock.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import type { ImageHistoryRow, ImageRemoval, ImageView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { CONTAINER_CONFIG, type ContainerConfig } from './container-config.ts';
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
    ParentId: '',
    ...referencesOf(image, version),
    SharedSize: options.sharedBytes,
    Size: image.sizeBytes,
    ...(version.before('1.44') ? { VirtualSize: image.sizeBytes } : {}),
  };
}

/** Below 1.43 an image without a name shows `<none>:<none>`. */
function referencesOf({ tags, digests }: ImageView, version: ApiVersion): Record<string, JsonValue> {
  const hasPlaceholders = version.before('1.43');
  return {
    RepoDigests: digests.length === 0 && tags.length === 0 && hasPlaceholders ? ['<none>@<none>'] : digests,
    RepoTags: tags.length === 0 && hasPlaceholders ? ['<none>:<none>'] : tags,
  };
}

/** `GET /images/{name}/json`. */
export function imageDocument(
  image: ImageView,
  options: { readonly version: ApiVersion; readonly storageDriver: string },
): JsonValue {
  const { version } = options;
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: '',
    Comment: config.comment ?? config.history?.at(-1)?.comment ?? '',
    ...(version.before('1.44') || config.created !== undefined ? { Created: createdText(config.created) } : {}),
    ...(version.before('1.45') ? { Container: '', ContainerConfig: encodeAs(CONTAINER_CONFIG, {}) } : {}),
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: runConfigDocument(image, version),
    Architecture: config.architecture,
    ...(config.variant === undefined || config.variant === '' ? {} : { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] === undefined ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    ...(version.before('1.44') ? { VirtualSize: image.sizeBytes } : {}),
    GraphDriver: { Data: null, Name: options.storageDriver },
    RootFS: {
      Type: 'layers',
      ...(config.rootfs.diff_ids.length === 0 ? {} : { Layers: config.rootfs.diff_ids }),
    },
    Metadata: { LastTagTime: image.lastTaggedAt === null ? ZERO_TIME_TEXT : formatTimestamp(image.lastTaggedAt) },
  };
}

function createdText(created: string | undefined): string {
  const time = parseTimestamp(created ?? '');
  return time === null ? (created ?? '') : formatTimestamp(time);
}

/** Fields of an image's config in an image-spec's document; the container-only ones left before 1.50. */
const IMAGE_ONLY = [
  'Hostname',
  'Domainname',
  'AttachStdin',
  'AttachStdout',
  'AttachStderr',
  'Tty',
  'OpenStdin',
  'StdinOnce',
  'Image',
];

function runConfigDocument(image: ImageView, version: ApiVersion): JsonValue {
  const given = decodeAs(CONTAINER_CONFIG, (image.config.config ?? {}) as JsonValue);
  const config: ContainerConfig = given;
  const document = encodeAs(CONTAINER_CONFIG, config);
  if (version.before('1.50')) return document;
  // From 1.50 the fields that only a container has are gone, and unset ones are left out.
  return Object.fromEntries(
    Object.entries(document as JsonObject).filter(
      ([name, value]) => !IMAGE_ONLY.includes(name) && value !== null && value !== '',
    ),
  );
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
