/** Addresses of git repositories as `docker build` takes them: `https://host/x.git#ref:directory`. */
import { InvalidArgumentError } from '../../../base/errors.ts';

export interface GitAddress {
  /** What git is given. */
  readonly remote: string;
  /** Branch, tag, commit; '': whatever the repository's own is. */
  readonly ref: string;
  /** '': the top. */
  readonly directory: string;
}

const PREFIXES = ['git://', 'ssh://', 'github.com/', 'git@'];

/** docker's rule, and `ssh://`, as BuildKit has it. */
export function isGitAddress(address: string): boolean {
  return /^https?:\/\/.*\.git(?:#.+)?$/s.test(address) || PREFIXES.some((prefix) => address.startsWith(prefix));
}

/** InvalidArgumentError for a reference or a host that git would take for one of its flags. */
export function parseGitAddress(address: string): GitAddress {
  const [place = '', ...fragments] = address.split('#');
  const fragment = fragments.join('#');
  const colon = fragment.indexOf(':');
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const directory = colon < 0 ? '' : fragment.slice(colon + 1);
  if (ref.startsWith('-')) throw new InvalidArgumentError(`invalid refspec: ${ref}`);
  const remote = place.startsWith('github.com/') ? `https://${place}` : place;
  const isUrl = /^[a-z]+:\/\//.test(remote);
  // ssh would read `-oProxyCommand=…` in a host's place.
  const isSafe = isUrl
    ? URL.canParse(remote) && !/^[a-z]+:\/\/(?:[^@/]*@)?-/.test(remote)
    : /^git@[^-:][^:]*:/.test(remote);
  if (!isSafe || hasControls(place))
    throw new InvalidArgumentError(`invalid git repository address: ${JSON.stringify(place)}`);
  return { remote, ref, directory };
}

function hasControls(text: string): boolean {
  return [...text].some((one) => one < ' ' || one === '\x7F');
}
