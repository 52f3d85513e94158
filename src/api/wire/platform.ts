/** Platforms on the wire: containerd's words (`linux/arm64/v8`), and from 1.46 on image-spec's JSON. */
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Platform } from '../../engine/index.ts';
import { parseJson } from './body.ts';
import { decodeAs, slice, struct, text, type StructOf } from './go-struct.ts';

export { goArchitecture, parsePlatform } from '../../engine/index.ts';

const PLATFORM_FIELDS = {
  architecture: text,
  os: text,
  'os.version': text,
  'os.features': slice(text),
  variant: text,
};
const PLATFORM = struct('v1.Platform', PLATFORM_FIELDS);

/**
 * Image-spec's JSON, as query parameters carry it from 1.46 on; null for ''. InvalidArgumentError in dockerd's words.
 */
export function parsePlatformJson(source: string): Platform | null {
  if (source === '') return null;
  const { os = '', architecture = '', variant = '', ...optional } = readPlatformJson(source);
  const version = optional['os.version'] ?? '';
  const hasOptional = variant !== '' || version !== '' || (optional['os.features'] ?? []).length > 0;
  if (os === '' && architecture === '' && hasOptional) {
    throw new InvalidArgumentError('optional platform fields provided, but OS and Architecture are missing');
  }
  if (os === '' || architecture === '') {
    throw new InvalidArgumentError('both OS and Architecture must be provided');
  }
  return {
    os,
    architecture,
    ...(variant === '' ? {} : { variant }),
    ...(version === '' ? {} : { 'os.version': version }),
  };
}

function readPlatformJson(source: string): StructOf<typeof PLATFORM_FIELDS> {
  try {
    return decodeAs(PLATFORM, parseJson(source) ?? {});
  } catch (error) {
    const fault = messageOf(error).replace(/^invalid JSON: /, '');
    throw new InvalidArgumentError(`failed to parse platform: ${fault}`, { cause: error });
  }
}
