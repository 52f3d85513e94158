/** What is asked of registries without anything being brought: what a name means there, what there is, and deletion. */
import { EngineError, InvalidArgumentError } from '../../base/errors.ts';
import { isDigest, type Digest } from '../oci/digest.ts';
import { MediaType, type Platform } from '../oci/image-spec.ts';
import { withDefaultTag, type NamedReference } from '../oci/reference.ts';
import type { RequestOptions, ResolvedManifest, SearchResult } from '../registry/client.ts';
import { domainOfServerAddress } from '../registry/endpoints.ts';
import { RegistrySaid } from '../registry/failures.ts';
import { searchList } from '../registry/names.ts';
import { parseIndex, parseManifest, parsePlatform } from '../registry/wire.ts';
import type { ImageContext } from './context.ts';
import { askFirst, authAt } from './search-list.ts';
import type { RemoteImage } from './types.ts';

/** As dockerd's, which has it from Docker Hub. */
const MAX_SEARCH_LIMIT = 100;
/** Configs are small; a hostile one ends here. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** What a registry has under a name: where a pull of it would find it. */
export async function distributionOf(
  context: Pick<ImageContext, 'registry'>,
  text: string,
  addedRegistries: readonly string[],
  options: RequestOptions,
): Promise<RemoteImage> {
  if (isDigest(text)) throw new InvalidArgumentError('no manifest found for full image ID');
  return await askFirst(searchList(text, addedRegistries), options.signal, async (candidate) => {
    const reference = withDefaultTag(candidate);
    const shown = { ...options, auth: authAt(reference, text, options.auth) };
    const resolved = await resolve(context, reference, shown);
    return { descriptor: resolved.descriptor, platforms: await platformsOf(context, reference, resolved, shown) };
  });
}

/**
 * Docker's rule for the first word of a term: a registry where it has a dot, a colon, or is `localhost`. Docker Hub, which
 * dockerd asks for `HOST:PORT` alone, has no such names: it means all of that registry here.
 */
export async function searchImages(
  { registry }: Pick<ImageContext, 'registry'>,
  term: string,
  { limit, ...options }: RequestOptions & { readonly limit: number },
): Promise<readonly SearchResult[]> {
  if (/^https?:\/\//.test(term)) {
    throw new InvalidArgumentError(`invalid repository name: repository name (${term}) should not have a scheme`);
  }
  if (limit < 1 || limit > MAX_SEARCH_LIMIT) {
    throw new InvalidArgumentError(`limit ${String(limit)} is outside the range of [1, ${String(MAX_SEARCH_LIMIT)}]`);
  }
  const path = /:\d+$/.test(term) ? `${term}/` : term;
  const first = path.slice(0, Math.max(path.indexOf('/'), 0));
  const namesRegistry = /[.:]/.test(first) || first === 'localhost';
  const domain = domainOfServerAddress(namesRegistry ? first : '');
  const rest = namesRegistry ? path.slice(first.length + 1) : term;
  // What Docker Hub calls library/x is shown as x everywhere.
  const asked = domain === domainOfServerAddress('') ? rest.replace(/^library\//, '') : rest;
  return await registry.search(domain, asked, { ...options, limit });
}

/** Deletes a manifest at its registry, and with it all tags of it; returns its digest. */
export async function removeRemote(
  { registry, catalog }: Pick<ImageContext, 'registry' | 'catalog'>,
  text: string,
  shown: RequestOptions,
): Promise<Digest> {
  // Where a push of this name would go.
  const reference = catalog.referenceOf(text);
  const options = { ...shown, auth: authAt(reference, text, shown.auth) };
  if (reference.tag === null && reference.digest === null) {
    throw new InvalidArgumentError(`say which image of ${text} is to be deleted: a tag (${text}:TAG) or a digest`);
  }
  await registry.greet(reference, options);
  // A mirror may know an older one: what is deleted is what the registry itself has.
  const digest =
    reference.digest ?? (await registry.resolve(reference, { ...options, withoutMirrors: true })).descriptor.digest;
  await registry.removeManifest(reference, digest, options);
  return digest;
}

/** In the registry's own words, as Docker has it here; a pull says more. */
async function resolve(
  { registry }: Pick<ImageContext, 'registry'>,
  reference: NamedReference,
  options: RequestOptions,
): Promise<ResolvedManifest> {
  try {
    return await registry.resolve(reference, options);
  } catch (error) {
    throw error instanceof EngineError && error.cause instanceof RegistrySaid ? error.cause : error;
  }
}

async function platformsOf(
  context: Pick<ImageContext, 'registry'>,
  reference: NamedReference,
  { descriptor: { mediaType }, bytes }: ResolvedManifest,
  options: RequestOptions,
): Promise<readonly Platform[]> {
  if (mediaType === MediaType.dockerManifestList || mediaType === MediaType.ociIndex) {
    return parseIndex(bytes).manifests.map(({ platform }) => platform ?? { architecture: '', os: '' });
  }
  if (mediaType !== MediaType.dockerManifest && mediaType !== MediaType.ociManifest) return [];
  const { config } = parseManifest(bytes);
  if (config.size > MAX_CONFIG_BYTES) return [];
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    const stream = await context.registry.fetchBlob(reference, config, 0, options);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_CONFIG_BYTES) return [];
      chunks.push(chunk);
    }
    const platform = parsePlatform(Buffer.concat(chunks));
    return platform === null ? [] : [platform];
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof EngineError) return [];
    throw error;
  }
}
