/** The config of an image that is pulled: fetched, verified, and held against the manifest. */
import { DataLossError, EngineError, InvalidArgumentError, messageOf, UnavailableError } from '../../../base/errors.ts';
import { chainIdsOf, digestOf } from '../../oci/digest.ts';
import type { Descriptor, ImageConfig, Manifest } from '../../oci/image-spec.ts';
import type { NamedReference } from '../../oci/reference.ts';
import type { RequestOptions } from '../../registry/client.ts';
import { parseConfig } from '../../registry/wire.ts';
import type { ImageContext } from '../context.ts';
import { bareFault, linkFault } from './link-fault.ts';
import { layersMismatch, type LayerPlan } from './layers.ts';

/** Configs are small; a hostile one ends here. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** As dockerd: 0.25 s before the second attempt, twice as long before each further one. */
const MAX_ATTEMPTS = 5;
const FIRST_DELAY_MS = 250;
/** One that trickles in for longer is not waited for. */
const LONGEST_FETCH_MS = 120_000;

interface ConfigOptions extends RequestOptions {
  readonly signal: AbortSignal;
}

/** Fetches a config. Errors in dockerd's words, with how often it was tried. */
export async function fetchConfig(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: ConfigOptions,
): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await fetchPatiently(context, reference, descriptor, options);
  } catch (error) {
    options.signal.throwIfAborted();
    throw prefixed('error pulling image configuration', error);
  }
  return bytes;
}

/** Reads a config and what its layers are to become. */
export function planLayers(
  configBytes: Buffer,
  manifest: Manifest,
): { readonly config: ImageConfig; readonly layers: readonly LayerPlan[] } {
  const config = parseConfig(configBytes);
  if (config.os !== 'linux') {
    throw new InvalidArgumentError(`image operating system "${config.os}" cannot be used on this platform`);
  }
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) throw layersMismatch();
  const chainIds = chainIdsOf(diffIds);
  const layers = manifest.layers.map((descriptor, index): LayerPlan => {
    const [diffId, chainId] = [diffIds[index], chainIds[index]];
    if (diffId === undefined || chainId === undefined) throw layersMismatch();
    return { descriptor, diffId, chainId, parent: chainIds[index - 1] ?? null };
  });
  return { config, layers };
}

async function fetchPatiently(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: ConfigOptions,
): Promise<Buffer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const bytes = await fetchOnce(context, reference, descriptor, options);
      assertConfig(bytes, descriptor);
      return bytes;
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof DataLossError) {
        if (await context.registry.rejectBlob(descriptor.digest)) continue;
        throw error;
      }
      const isPassing = error instanceof UnavailableError;
      // dockerd counts one more when it has tried as often as it may.
      const tried = isPassing ? attempt + 1 : attempt;
      if (!isPassing || attempt >= MAX_ATTEMPTS) {
        throw prefixed(`download failed after attempts=${String(tried)}`, bareFault(error));
      }
      await context.clock.sleep(FIRST_DELAY_MS * 2 ** (attempt - 1), options.signal);
    }
  }
}

async function fetchOnce(
  { registry, clock }: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: ConfigOptions,
): Promise<Buffer> {
  if (descriptor.size > MAX_CONFIG_BYTES) throw tooLarge();
  const stream = await registry.fetchBlob(reference, descriptor, 0, options);
  using _limit = clock.after(LONGEST_FETCH_MS, () => {
    stream.destroy(new UnavailableError('net/http: timeout awaiting the end of the response'));
  });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_CONFIG_BYTES) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof EngineError ? error : linkFault(error);
  } finally {
    stream.destroy();
  }
  return Buffer.concat(chunks);
}

function assertConfig(bytes: Buffer, { digest, size }: Descriptor): void {
  const fault = `image config verification failed for digest ${digest}`;
  if (digestOf(bytes) !== digest) throw new DataLossError(fault);
  if (bytes.length === size) return;
  throw new DataLossError(`${fault}: its size is ${String(bytes.length)}, the manifest says ${String(size)}`);
}

function tooLarge(): DataLossError {
  return new DataLossError(`image config is larger than ${String(MAX_CONFIG_BYTES)} bytes`);
}

function prefixed(text: string, error: unknown): EngineError {
  const kind = error instanceof EngineError ? error.kind : 'unavailable';
  return new EngineError(kind, `${text}: ${messageOf(error)}`, { cause: error });
}
