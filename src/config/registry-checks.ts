/** What names and mirrors of registries must look like, each for itself and all together. */
import { messageOf } from '../base/errors.ts';
import { withoutPassword } from './masked.ts';
import type { OptionFlag, OptionValue } from './options.ts';
import { parsePrefixMirrors, type PrefixMirrors } from './prefix-mirrors.ts';

const HUB_HOSTS: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
const HOST = /^(?:localhost|\[[\da-f:]+\]|[\w-]+(?:\.[\w-]+)+|[\w.-]+(?=:))(?::\d{1,5})?$/i;
const PATH = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;

/** Why the text is no `--registry-mirror` URL; null when it is one. */
export function checkMirror(text: string): string | null {
  const url = URL.parse(text);
  if (url === null) {
    const scheme = /^([a-z][a-z\d+.-]*):/i.exec(text)?.[1] ?? '';
    return `invalid mirror: unsupported scheme "${scheme}" in "${withoutPassword(text)}"`;
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return `invalid mirror: unsupported scheme "${url.protocol.slice(0, -1)}" in "${withoutPassword(text)}"`;
  }
  if (url.search !== '' || url.hash !== '')
    return `invalid mirror: path, query, or fragment at end of the URI "${withoutPassword(text)}"`;
  if (url.username !== '' || url.password !== '') {
    return `invalid mirror: username/password not allowed in URI "${text.replace(/(\/\/[^:@/]*):\S*@/, '$1:xxxxx@')}"`;
  }
  return null;
}

/** Why the text is no `--add-registry`. */
export function checkAddedRegistry(text: string): string | null {
  return isNamed(text)
    ? null
    : `invalid add-registry "${withoutPassword(text)}": name a registry by its host, as in "registry.example.com:5000"`;
}

/** Why the text is no `--block-registry`. */
export function checkBlockedRegistry(text: string): string | null {
  return ['all', '*', 'public'].includes(text) || isNamed(text)
    ? null
    : `invalid block-registry "${withoutPassword(text)}": use "all", "public", a host or a host with a path`;
}

/** Why the text is no `--registry`. */
export function checkPrefixMirrors(text: string): string | null {
  let parsed: PrefixMirrors;
  try {
    parsed = parsePrefixMirrors(text);
  } catch (error) {
    return messageOf(error);
  }
  const { prefix, mirrors } = parsed;
  if (prefix.includes('@')) {
    return `invalid registry prefix: username/password not allowed in "${withoutPassword(prefix)}"`;
  }
  const { scheme, host, path } = splitPrefix(prefix);
  if (!isHost(host, scheme) || (path !== '' && !PATH.test(path))) {
    return `invalid registry prefix "${prefix}": use "[http[s]://]HOST[:PORT][/PATH]"`;
  }
  if (scheme === 'http' && HUB_HOSTS.includes(host)) return 'invalid registry prefix: docker.io is asked by HTTPS only';
  for (const mirror of mirrors) {
    const reason = checkMirror(mirror) ?? checkNotHub(mirror) ?? checkNotItself(mirror, host);
    if (reason !== null) return reason;
  }
  return null;
}

/** Settings of registries that contradict each other, and the option to blame; null when none do. */
export function registryConflict(
  get: (flag: OptionFlag) => OptionValue | undefined,
): { readonly flag: OptionFlag; readonly text: string } | null {
  const list = (flag: OptionFlag): readonly string[] => (get(flag) ?? []) as readonly string[];
  const rules = list('registry').map(parsePrefixMirrors);
  const blamed = (flag: OptionFlag, text: string | null) => (text === null ? null : { flag, text });
  return (
    blamed('registry', repeatedPrefix(rules)) ??
    blamed('registry', twoSchemes(rules)) ??
    blamed('registry', sharedMirror(rules)) ??
    blamed('registry', insecureTwice(rules, list('insecure-registry'))) ??
    blamed('registry', hubTwice(rules, list('registry-mirror'))) ??
    blamed('block-registry', addedAndBlocked(list('add-registry'), list('block-registry')))
  );
}

function isNamed(text: string): boolean {
  const [host = '', ...path] = text.split('/');
  return HOST.test(host) && (path.length === 0 || PATH.test(path.join('/')));
}

/** A host without a dot is one only behind a scheme; alone it is the first word of a name at docker.io. */
function isHost(host: string, scheme: string | null): boolean {
  return scheme === null ? /^[\w.:[\]-]+$/.test(host) : HOST.test(host) || /^[\w-]+$/.test(host);
}

function splitPrefix(prefix: string): { readonly scheme: string | null; readonly host: string; readonly path: string } {
  const [, scheme, rest = ''] = /^(?:(https?):\/\/)?(.*?)\/*$/i.exec(prefix) ?? [];
  const slash = rest.indexOf('/');
  const [host, path] = slash < 0 ? [rest, ''] : [rest.slice(0, slash), rest.slice(slash + 1)];
  return { scheme: scheme?.toLowerCase() ?? null, host: host.toLowerCase(), path };
}

function checkNotHub(mirror: string): string | null {
  return HUB_HOSTS.includes(new URL(mirror).host) ? `invalid mirror: docker.io cannot be a mirror: "${mirror}"` : null;
}

function checkNotItself(mirror: string, host: string): string | null {
  const url = new URL(mirror);
  return url.host === host && url.pathname === '/' ? `invalid mirror: "${mirror}" is the registry itself` : null;
}

function repeatedPrefix(rules: readonly PrefixMirrors[]): string | null {
  const names = rules.map(({ prefix }) => bare(prefix));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? null : `registries: the prefix "${twice}" is there twice`;
}

function twoSchemes(rules: readonly PrefixMirrors[]): string | null {
  const all = rules.map(({ prefix }) => splitPrefix(prefix));
  const plain = all.find(
    ({ scheme, host }) => scheme === 'http' && all.some((other) => other.host === host && other.scheme === 'https'),
  );
  return plain === undefined ? null : `registries: "${plain.host}" is there with http:// and with https://`;
}

/** Names of two registries at one place could be told apart by nobody. A mirror host may have a path for each. */
function sharedMirror(rules: readonly PrefixMirrors[]): string | null {
  const registryOf = new Map<string, string>();
  for (const { prefix, mirrors } of rules) {
    const { host } = splitPrefix(prefix);
    for (const url of mirrors.map(bare)) {
      const other = registryOf.get(url) ?? host;
      if (other !== host) return `registries: the mirror "${url}" serves both "${other}" and "${host}"`;
      registryOf.set(url, host);
    }
  }
  return null;
}

function insecureTwice(rules: readonly PrefixMirrors[], insecure: readonly string[]): string | null {
  const named = rules.find(({ prefix }) => {
    const { scheme, host } = splitPrefix(prefix);
    return scheme !== null && insecure.some((entry) => bare(entry) === host);
  });
  if (named === undefined) return null;
  const { host, scheme } = splitPrefix(named.prefix);
  return `registries: "${host}" is there with ${scheme ?? ''}:// and among insecure-registries: say one of them`;
}

function hubTwice(rules: readonly PrefixMirrors[], hubMirrors: readonly string[]): string | null {
  const isHub = rules.some(({ prefix }) => HUB_HOSTS.includes(bare(prefix)));
  return isHub && hubMirrors.length > 0
    ? 'registries: "docker.io" has mirrors here and in registry-mirrors: put them all in one place'
    : null;
}

function addedAndBlocked(added: readonly string[], blocked: readonly string[]): string | null {
  const both = added.find((entry) => blocked.some((other) => bare(other) === bare(entry)));
  return both === undefined ? null : `the registry "${both}" is both added and blocked`;
}

function bare(text: string): string {
  return text
    .replace(/^https?:\/\//i, '')
    .replace(/\/+$/, '')
    .toLowerCase();
}
