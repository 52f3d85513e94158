/**
 * The JSON that registries and token servers send, validated at the boundary: nothing unchecked goes further. Unknown
 * fields are ignored, as the specs ask.
 */
import { z } from 'zod';
import { DataLossError, InvalidArgumentError } from '../../base/errors.ts';
import { isDigest, type Digest } from '../oci/digest.ts';
import type { Descriptor, Index, Manifest } from '../oci/image-spec.ts';
import type { SearchResult } from './client.ts';
import { firstIssue } from './image-config.ts';
import { jsonFault, parseJson } from './json-fault.ts';

/** What an error body says. */
export type ErrorBody =
  | { readonly kind: 'details'; readonly text: string }
  | {
      readonly kind: 'errors';
      readonly first: { readonly code: string; readonly message: string; readonly hasDetail: boolean };
    }
  | { readonly kind: 'unreadable'; readonly fault: string };

/** A token server's answer. */
export interface TokenAnswer {
  readonly token: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
}

/** The Docker token spec's default, also its minimum. */
const DEFAULT_TOKEN_LIFE_SECONDS = 60;

const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value), 'invalid digest format');

const platform = z.object({
  architecture: z.string().default(''),
  os: z.string().default(''),
  variant: z.string().optional(),
  'os.version': z.string().optional(),
});

const descriptor = z.object({
  mediaType: z.string().default(''),
  digest,
  size: z.number().int().nonnegative(),
  platform: platform.optional(),
  annotations: z.record(z.string(), z.string()).nullish(),
  urls: z.array(z.string()).nullish(),
});

const manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor).nullish(),
  manifests: z.unknown().optional(),
});

const index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor).nullish(),
  config: z.unknown().optional(),
  layers: z.unknown().optional(),
});

const tagList = z.object({ tags: z.array(z.string()).nullish() });

const catalog = z.object({ repositories: z.array(z.string()).nullish() });

const searchAnswer = z.object({
  results: z
    .array(
      z.object({
        name: z.string(),
        description: z.string().nullish(),
        is_official: z.boolean().nullish(),
        is_automated: z.boolean().nullish(),
        star_count: z.number().int().nullish(),
      }),
    )
    .nullable(),
});

const archiveManifest = z.array(
  z.object({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()).nullish(),
    Parent: z.string().nullish(),
  }),
);

const errorsBody = z.object({
  errors: z
    .array(
      z.object({
        code: z.string().default('UNKNOWN'),
        message: z.string().default(''),
        detail: z.unknown().optional(),
      }),
    )
    .nullish(),
});

const tokenBody = z.object({
  token: z.string().default(''),
  access_token: z.string().default(''),
  refresh_token: z.string().default(''),
  expires_in: z.number().default(DEFAULT_TOKEN_LIFE_SECONDS),
});

/** Parses an image manifest that came as `type`. DataLossError when it is not one, or says that it is something else. */
export function parseManifest(bytes: Buffer, type?: string): Manifest {
  const { config: configDescriptor, layers, mediaType, manifests } = check(manifest, bytes, 'manifest');
  if (manifests !== undefined) throw new DataLossError('expected manifest but found index');
  assertType(mediaType, type);
  return {
    schemaVersion: 2,
    ...(mediaType === undefined ? {} : { mediaType }),
    config: descriptorOf(configDescriptor),
    layers: (layers ?? []).map(descriptorOf),
  };
}

/** Parses an index (manifest list) that came as `type`. DataLossError when it is not one, or says that it is something else. */
export function parseIndex(bytes: Buffer, type?: string): Index {
  const { manifests, mediaType, config: ofManifest, layers } = check(index, bytes, 'manifest list');
  // CVE-2021-41190: a document that can be read both ways would be another image to each reader.
  if (ofManifest !== undefined || layers !== undefined) throw new DataLossError('expected index but found manifest');
  assertType(mediaType, type);
  return {
    schemaVersion: 2,
    ...(mediaType === undefined ? {} : { mediaType }),
    manifests: (manifests ?? []).map(descriptorOf),
  };
}

/** Parses `docker save`'s manifest.json. InvalidArgumentError when it is not one. */
export function parseArchiveManifest(bytes: Buffer): readonly {
  readonly config: string;
  readonly repoTags: readonly string[];
  readonly layers: readonly string[];
  readonly parent: Digest | null;
}[] {
  const json = parseJson(bytes.toString('utf8'), (text) => new InvalidArgumentError(text));
  if (json === null) throw new InvalidArgumentError('invalid manifest, manifest cannot be null (but can be [])');
  const parsed = archiveManifest.safeParse(json);
  if (!parsed.success) throw new InvalidArgumentError(`invalid manifest.json: ${firstIssue(parsed.error)}`);
  return parsed.data.map(({ Config, RepoTags, Layers, Parent }) => ({
    config: Config,
    repoTags: RepoTags ?? [],
    layers: Layers ?? [],
    parent: typeof Parent === 'string' && isDigest(Parent) ? Parent : null,
  }));
}

/** The platform that an image configuration names; null when it names none or is none. */
export function parsePlatform(bytes: Buffer): NonNullable<Descriptor['platform']> | null {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
  const parsed = platform.safeParse(json);
  return parsed.success && (parsed.data.os !== '' || parsed.data.architecture !== '') ? platformOf(parsed.data) : null;
}

export { parseConfig } from './image-config.ts';

/** The media type a manifest gives itself, or what its shape says. */
export function ownMediaType(bytes: Buffer): string | null {
  const parsed = z
    .object({ mediaType: z.string().optional(), schemaVersion: z.number().optional() })
    .safeParse(parseJson(bytes.toString('utf8'), (text) => new DataLossError(text)));
  return parsed.success ? (parsed.data.mediaType ?? null) : null;
}

/** Reads one page of a tag list. DataLossError when it is not one. */
export function parseTags(bytes: Buffer): readonly string[] {
  return check(tagList, bytes, 'tag list').tags ?? [];
}

/** Reads one page of a registry's repositories. DataLossError when it is not one. */
export function parseCatalog(bytes: Buffer): readonly string[] {
  return check(catalog, bytes, 'catalog').repositories ?? [];
}

/** Reads what Docker's search protocol answers; null when it is something else. */
export function parseSearch(bytes: Buffer): SearchResult[] | null {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
  const parsed = searchAnswer.safeParse(json);
  if (!parsed.success) return null;
  return (parsed.data.results ?? []).map((row) => ({
    name: row.name,
    description: row.description ?? '',
    isOfficial: row.is_official ?? false,
    isAutomated: row.is_automated ?? false,
    starCount: row.star_count ?? 0,
  }));
}

/** Reads an error body: `{"details": …}`, `{"errors": […]}` or neither. */
export function errorBody(body: string): ErrorBody {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { kind: 'unreadable', fault: jsonFault(body) };
  }
  const details = z.object({ details: z.string().min(1) }).safeParse(json);
  if (details.success) return { kind: 'details', text: details.data.details };
  const errors = errorsBody.safeParse(json);
  const first = errors.success ? errors.data.errors?.[0] : undefined;
  if (first === undefined) return { kind: 'unreadable', fault: 'no error details found in HTTP response body' };
  const { code, message, detail } = first;
  return { kind: 'errors', first: { code, message, hasDetail: detail !== undefined && detail !== null } };
}

/** Reads a token server's answer. DataLossError in Docker's words. */
export function parseToken(body: string): TokenAnswer {
  const json = parseJson(body, (text) => new DataLossError(`unable to decode token response: ${text}`));
  const parsed = tokenBody.safeParse(json);
  if (!parsed.success) throw new DataLossError(`unable to decode token response: ${firstIssue(parsed.error)}`);
  const { token, access_token, refresh_token, expires_in } = parsed.data;
  return {
    token: access_token === '' ? token : access_token,
    refreshToken: refresh_token,
    expiresInSeconds: Math.max(expires_in, DEFAULT_TOKEN_LIFE_SECONDS),
  };
}

function check<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  const parsed = schema.safeParse(parseJson(bytes.toString('utf8'), (text) => new DataLossError(text)));
  if (!parsed.success) throw new DataLossError(`invalid ${what}: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

/** Docker's words when header and document do not agree. */
function assertType(own: string | undefined, came: string | undefined): void {
  if (own === undefined || own === '' || came === undefined || own === came) return;
  throw new DataLossError(`mediaType in manifest should be '${came}' not '${own}'`);
}

function descriptorOf(raw: z.infer<typeof descriptor>): Descriptor {
  return {
    mediaType: raw.mediaType,
    digest: raw.digest,
    size: raw.size,
    ...(raw.platform === undefined ? {} : { platform: platformOf(raw.platform) }),
    ...(raw.annotations === null || raw.annotations === undefined ? {} : { annotations: raw.annotations }),
    ...(raw.urls === null || raw.urls === undefined ? {} : { urls: raw.urls }),
  };
}

function platformOf(raw: z.infer<typeof platform>): NonNullable<Descriptor['platform']> {
  const { variant, 'os.version': osVersion } = raw;
  return {
    architecture: raw.architecture,
    os: raw.os,
    ...(variant === undefined || variant === '' ? {} : { variant }),
    ...(osVersion === undefined ? {} : { 'os.version': osVersion }),
  };
}
