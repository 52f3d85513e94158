/** resolv.conf(5), read and written. Pure. */
import { isIP } from 'node:net';

/** What a resolver's configuration says. */
export interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** Lines of other keywords (`sortlist`), as they stand. */
  readonly other: readonly string[];
}

/** Reads a file's text; what cannot be understood is passed over, as the C library does. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: readonly string[] = [];
  const options: string[] = [];
  const other: string[] = [];
  for (const line of text.split('\n')) {
    const bare = line.replace(/[#;].*$/, '').trim();
    const [keyword = '', ...words] = bare.split(/\s+/);
    const [first] = words;
    if (keyword === 'nameserver') {
      if (first !== undefined && isIP(first) !== 0) servers.push(first);
    } else if (keyword === 'search' || keyword === 'domain') search = words;
    else if (keyword === 'options') options.push(...words);
    else if (keyword !== '') other.push(bare);
  }
  return { servers, search, options, other };
}

/** Whether somebody chose how many dots a name needs before it is asked as it stands. */
export function setsNdots(options: readonly string[]): boolean {
  return options.some((option) => NDOTS.test(option));
}

/** `ndots` without a number is no choice. */
export const NDOTS = /^ndots:\d+$/;
