/**
 * Which media types an image may be made of. Registries also hold what is no image (charts, signatures, plugins) in the
 * same shape; they are refused in dockerd's words before anything is fetched.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import { MediaType } from '../oci/image-spec.ts';

/** What old registries and builders wrote in place of a config's type. */
const VAGUE_TYPES: ReadonlySet<string> = new Set(['', 'application/octet-stream', 'application/json', 'text/html']);
const CONFIG_TYPES: ReadonlySet<string> = new Set([MediaType.dockerConfig, MediaType.ociConfig]);
const PLUGIN_CONFIG = 'application/vnd.docker.plugin.v1+json';
/** Types of images begin with these words. */
const FAMILIES = ['application/vnd.oci.image', 'application/vnd.docker'] as const;

/** InvalidArgumentError when a Docker manifest's config is not an image's. */
export function assertImageConfigType(mediaType: string): void {
  if (CONFIG_TYPES.has(mediaType) || VAGUE_TYPES.has(mediaType)) return;
  const kind = mediaType === PLUGIN_CONFIG ? 'plugin' : 'unknown';
  throw new InvalidArgumentError(`Encountered remote ${JSON.stringify(mediaType)}(${kind}) when fetching`);
}

/** InvalidArgumentError when a config or layer cannot be part of an image. */
export function assertImagePartType(mediaType: string): void {
  const type = mediaType.toLowerCase();
  const isKnown = VAGUE_TYPES.has(type) || FAMILIES.some((family) => type === family || type.startsWith(`${family}.`));
  if (!isKnown) throw new InvalidArgumentError(`unsupported media type ${mediaType}`);
}
