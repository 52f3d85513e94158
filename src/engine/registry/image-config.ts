/** Image configurations, validated: what containers rely on has its type, the rest is kept as it came. */
import { z } from 'zod';
import { InvalidArgumentError } from '../../base/errors.ts';
import { isDigest, type DiffId } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/image-spec.ts';
import { parseJson } from './json-fault.ts';

/** Far deeper than any config; Go's own bound is ten times as much. */
const MAX_JSON_DEPTH = 1000;

/** Go takes null for any of its types, and leaves the field as it was. */
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? undefined);
const wholeNumber = z
  .number()
  .int()
  .nullish()
  .transform((value) => value ?? undefined);
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? undefined);
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/, 'cannot parse time as RFC 3339')
  .nullish()
  .transform((value) => value ?? undefined);
const words = z.array(z.string()).nullish();
/** Docker reads a plain string as a list of one. */
const command = z.union([z.array(z.string()), z.string().transform((value) => [value])]).nullish();
const nameSet = z
  .record(
    z.string(),
    z
      .looseObject({})
      .nullable()
      .transform((value) => value ?? {}),
  )
  .nullish();

const runConfig = z.looseObject({
  User: text,
  ExposedPorts: nameSet,
  Env: words,
  Entrypoint: command,
  Cmd: command,
  Volumes: nameSet,
  WorkingDir: text,
  Labels: z.record(z.string(), z.string()).nullish(),
  StopSignal: text,
  StopTimeout: wholeNumber,
  Hostname: text,
  Domainname: text,
  OnBuild: words,
  Shell: command,
  Healthcheck: z
    .looseObject({
      Test: words,
      Interval: wholeNumber,
      Timeout: wholeNumber,
      StartPeriod: wholeNumber,
      StartInterval: wholeNumber,
      Retries: wholeNumber,
    })
    .nullish(),
  ArgsEscaped: flag,
});

const config = z.looseObject({
  architecture: z.string().default(''),
  // Empty is what old builders wrote.
  os: z
    .string()
    .default('')
    .transform((value) => (value === '' ? 'linux' : value)),
  variant: text,
  'os.version': text,
  created: time,
  author: text,
  comment: text,
  docker_version: text,
  config: runConfig.nullish(),
  rootfs: z.object(
    {
      type: z.string(),
      diff_ids: z.array(z.custom<DiffId>((v) => typeof v === 'string' && isDigest(v))).nullish(),
    },
    'invalid rootfs in image configuration',
  ),
  history: z
    .array(z.looseObject({ created: time, created_by: text, author: text, comment: text, empty_layer: flag }))
    .nullish(),
});

/** Parses an image configuration. InvalidArgumentError when it is not one. */
export function parseConfig(bytes: Buffer): ImageConfig {
  assertDepth(bytes);
  const parsed = config.safeParse(parseJson(bytes.toString('utf8'), (text) => new InvalidArgumentError(text)));
  if (!parsed.success) throw new InvalidArgumentError(`invalid image configuration: ${firstIssue(parsed.error)}`);
  const { rootfs, history, ...rest } = parsed.data;
  return {
    ...rest,
    rootfs: { type: 'layers', diff_ids: rootfs.diff_ids ?? [] },
    ...(history === null || history === undefined ? {} : { history }),
  } as ImageConfig;
}

/**
 * Refuses what is nested so deeply that writing it down again would exhaust the stack. Brackets in strings are counted
 * too: no real config has so many open ones.
 */
function assertDepth(bytes: Buffer): void {
  let depth = 0;
  for (const byte of bytes) {
    if (byte === 0x5b || byte === 0x7b) depth += 1;
    else if (byte === 0x5d || byte === 0x7d) depth -= 1;
    if (depth > MAX_JSON_DEPTH) throw new InvalidArgumentError('invalid image configuration: exceeded max depth');
  }
}

/** What zod found first, and where. */
export function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  return issue === undefined ? error.message : `${issue.path.join('.')}: ${issue.message}`;
}
