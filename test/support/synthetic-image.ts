/** Images made in memory: a few files a layer, with the blobs, config and manifest that a registry would hold. */
import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { MediaType } from '../../src/engine/oci/image-spec.ts';
import type { Digest, DiffId } from '../../src/engine/oci/digest.ts';

export type LayerFormat = 'none' | 'gzip' | 'zstd';

export interface SyntheticLayer {
  readonly tar: Buffer;
  readonly blob: Buffer;
  readonly diffId: DiffId;
  readonly digest: Digest;
  readonly mediaType: string;
}

export interface SyntheticImage {
  readonly layers: readonly SyntheticLayer[];
  readonly config: Buffer;
  /** Digest of the config: the image's id. */
  readonly id: Digest;
  readonly manifest: Buffer;
  readonly manifestMediaType: string;
  /** Digest of the manifest. */
  readonly digest: Digest;
}

/** Files of one layer, name → content; a name that ends in `/` is a directory. */
export type LayerFiles = Readonly<Record<string, string | Buffer>>;

export interface SyntheticOptions {
  readonly oci?: boolean;
  readonly format?: LayerFormat;
  readonly architecture?: string;
  readonly os?: string;
  readonly variant?: string;
  readonly created?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Put these diff ids into the config instead of the true ones. */
  readonly diffIds?: readonly string[];
}

export function sha256(bytes: Buffer | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** A tar of the files, always the same bytes for the same files. */
export async function tarOf(files: LayerFiles): Promise<Buffer> {
  const archive = pack();
  const chunks: Buffer[] = [];
  archive.on('data', (chunk) => chunks.push(chunk as Buffer));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  archive.on('end', () => resolve());
  archive.on('error', reject);
  for (const [name, content] of Object.entries(files)) {
    const header = { name, mtime: new Date(0), mode: 0o755, uid: 0, gid: 0 };
    if (name.endsWith('/')) archive.entry({ ...header, type: 'directory' });
    else archive.entry(header, content);
  }
  archive.finalize();
  await promise;
  return Buffer.concat(chunks);
}

/** One layer of the files. */
export async function layerOf(files: LayerFiles, format: LayerFormat = 'gzip', oci = false): Promise<SyntheticLayer> {
  const tar = await tarOf(files);
  const blob = format === 'gzip' ? gzipSync(tar, { level: 1 }) : format === 'zstd' ? zstdCompressSync(tar) : tar;
  const mediaType = {
    none: oci ? MediaType.ociLayer : MediaType.dockerLayer,
    gzip: oci ? MediaType.ociLayerGzip : MediaType.dockerLayerGzip,
    zstd: MediaType.ociLayerZstd,
  }[format];
  return { tar, blob, diffId: sha256(tar), digest: sha256(blob), mediaType };
}

/** An image of the layers' files. */
export async function syntheticImage(
  layersOfFiles: readonly LayerFiles[],
  options: SyntheticOptions = {},
): Promise<SyntheticImage> {
  const oci = options.oci ?? false;
  const layers = await Promise.all(layersOfFiles.map((files) => layerOf(files, options.format, oci)));
  const config = Buffer.from(
    JSON.stringify({
      architecture: options.architecture ?? goArchitecture(),
      ...(options.variant === undefined ? {} : { variant: options.variant }),
      os: options.os ?? 'linux',
      created: options.created ?? '2026-01-02T03:04:05Z',
      config: { Cmd: ['/bin/sh'], ...options.config },
      rootfs: { type: 'layers', diff_ids: options.diffIds ?? layers.map((layer) => layer.diffId) },
      history: layers.map((_, index) => ({ created: '2026-01-02T03:04:05Z', created_by: `layer ${String(index)}` })),
    }),
  );
  const manifestMediaType = oci ? MediaType.ociManifest : MediaType.dockerManifest;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestMediaType,
      config: {
        mediaType: oci ? MediaType.ociConfig : MediaType.dockerConfig,
        size: config.length,
        digest: sha256(config),
      },
      layers: layers.map((layer) => ({ mediaType: layer.mediaType, size: layer.blob.length, digest: layer.digest })),
    }),
  );
  return { layers, config, id: sha256(config), manifest, manifestMediaType, digest: sha256(manifest) };
}

/** An index (manifest list) that points at images by platform. */
export function indexOf(
  images: readonly { readonly image: SyntheticImage; readonly platform: Readonly<Record<string, string>> }[],
  oci = false,
): { readonly bytes: Buffer; readonly mediaType: string; readonly digest: Digest } {
  const mediaType = oci ? MediaType.ociIndex : MediaType.dockerManifestList;
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      manifests: images.map(({ image, platform }) => ({
        mediaType: image.manifestMediaType,
        size: image.manifest.length,
        digest: image.digest,
        platform,
      })),
    }),
  );
  return { bytes, mediaType, digest: sha256(bytes) };
}

/** Go's name of this machine's architecture. */
export function goArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}
