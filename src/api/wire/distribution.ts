/** What is told of registries: `DistributionInspect` and rows of a search. */
import type { Platform, RemoteImage, SearchResult } from '../../engine/index.ts';

/** `GET /distribution/{name}/json`. */
export function distributionDocument({ descriptor, platforms }: RemoteImage): object {
  const { mediaType, digest, size } = descriptor;
  return {
    Descriptor: { mediaType, digest, size },
    Platforms: platforms.length === 0 ? null : platforms.map(platformDocument),
  };
}

function platformDocument(platform: Platform): object {
  const { architecture, os, variant, 'os.version': version } = platform;
  return {
    architecture,
    os,
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(variant === undefined ? {} : { variant }),
  };
}

/** One row of `GET /images/search`. */
export function searchRow({ name, description, isOfficial, isAutomated, starCount }: SearchResult): object {
  return { star_count: starCount, is_official: isOfficial, name, is_automated: isAutomated, description };
}
