/** `Links` of HostConfig, both ways. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerLink } from '../../engine/index.ts';

/**
 * `name:alias`, `name` alone, or what inspect shows (`/name:/holder/alias`), since clients make containers anew out of
 * that. InvalidArgumentError in Docker's words.
 */
export function parseLink(text: string): ContainerLink {
  if (text === '') throw new InvalidArgumentError('empty string specified for links');
  const [ref = '', alias, ...more] = text.split(':');
  if (more.length > 0) throw new InvalidArgumentError(`bad format for links: ${text}`);
  if (alias === undefined) return { ref, alias: ref };
  return ref.startsWith('/') ? { ref: ref.slice(1), alias: alias.slice(alias.lastIndexOf('/') + 1) } : { ref, alias };
}

/** As inspect shows it. */
export function linkText(targetName: string, holderName: string, alias: string): string {
  return `/${targetName}:/${holderName}/${alias}`;
}
