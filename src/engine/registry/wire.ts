/**
 * The JSON that registries and token servers send, validated at the boundary: nothing unchecked goes further. Unknown
 * fields are ignored, as the specs ask.
 */
import { z } from 'zod';
import { DataLossError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { isDigest, type Digest, type DiffId } from '../oci/digest.ts';
import type { Descriptor, ImageConfig, Index, Manifest } from '../oci/image-spec.ts';

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
});

const index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor).nullish(),
});

const config = z.looseObject({
  architecture: z.string().default(''),
  os: z.string().default('linux'),
  config: z.looseObject({}).nullish(),
  rootfs: z.object({
    type: z.string(),
    diff_ids: z.array(z.custom<DiffId>((v) => typeof v === 'string' && isDigest(v))).nullish(),
  }),
  history: z.array(z.looseObject({ empty_layer: z.boolean().optional() })).nullish(),
});

const tagList = z.object({ tags: z.array(z.string()).nullish() });

const archiveManifest = z.array(
  z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()).nullish() }),
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

/** Parses an image manifest. DataLossError when it is not one. */
export function parseManifest(bytes: Buffer): Manifest {
  const { config: configDescriptor, layers, mediaType } = check(manifest, bytes, 'manifest');
  return {
    schemaVersion: 2,
    ...(mediaType === undefined ? {} : { mediaType }),
    config: descriptorOf(configDescriptor),
    layers: (layers ?? []).map(descriptorOf),
  };
}

/** Parses an index (manifest list). DataLossError when it is not one. */
export function parseIndex(bytes: Buffer): Index {
  const { manifests, mediaType } = check(index, bytes, 'manifest list');
  return {
    schemaVersion: 2,
    ...(mediaType === undefined ? {} : { mediaType }),
    manifests: (manifests ?? []).map(descriptorOf),
  };
}

/** Parses `docker save`'s manifest.json. InvalidArgumentError when it is not one. */
export function parseArchiveManifest(
  bytes: Buffer,
): readonly { readonly config: string; readonly repoTags: readonly string[]; readonly layers: readonly string[] }[] {
  const json = parseJson(bytes.toString('utf8'), (text) => new InvalidArgumentError(text));
  const parsed = archiveManifest.safeParse(json);
  if (!parsed.success) throw new InvalidArgumentError(`invalid manifest.json: ${firstIssue(parsed.error)}`);
  return parsed.data.map(({ Config, RepoTags, Layers }) => ({
    config: Config,
    repoTags: RepoTags ?? [],
    layers: Layers ?? [],
  }));
}

/** Parses an image configuration. InvalidArgumentError when it is not one. */
export function parseConfig(bytes: Buffer): ImageConfig {
  const parsed = config.safeParse(parseJson(bytes.toString('utf8'), (text) => new InvalidArgumentError(text)));
  if (!parsed.success) throw new InvalidArgumentError(`invalid image configuration: ${firstIssue(parsed.error)}`);
  const { rootfs, history, ...rest } = parsed.data;
  return {
    ...rest,
    rootfs: { type: 'layers', diff_ids: rootfs.diff_ids ?? [] },
    ...(history === null || history === undefined ? {} : { history }),
  } as ImageConfig;
}

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

/** What Go's JSON decoder says of text that is not JSON. */
function jsonFault(text: string): string {
  const first = text.trimStart().charAt(0);
  if (first === '') return 'unexpected end of JSON input';
  if (!/[{["\-\dtfn]/.test(first)) return `invalid character '${first}' looking for beginning of value`;
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return messageOf(error);
  }
}

function parseJson(text: string, fail: (text: string) => Error): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw fail(jsonFault(text));
  }
}

function check<T>(schema: z.ZodType<T>, bytes: Buffer, what: string): T {
  const parsed = schema.safeParse(parseJson(bytes.toString('utf8'), (text) => new DataLossError(text)));
  if (!parsed.success) throw new DataLossError(`invalid ${what}: ${firstIssue(parsed.error)}`);
  return parsed.data;
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue === undefined ? error.message : `${issue.path.join('.')}: ${issue.message}`;
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
