/** `labels`, `labels-regex`, `env` and `env-regex`: what of a container goes with each line of its log. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { compileGoRegexp } from '../../../base/go-regexp.ts';
import type { LoggedContainer } from '../driver.ts';
import type { LogOptions } from './every-driver.ts';

export const ATTRIBUTE_OPTIONS = ['labels', 'labels-regex', 'env', 'env-regex'] as const;

/** The chosen labels and variables under the names that `rename` gives ('' leaves one out); variables win, as with Docker. */
export function attributesOf(
  { labels, env }: Pick<LoggedContainer, 'labels' | 'env'>,
  options: LogOptions,
  rename: (key: string) => string = (key) => key,
): Readonly<Record<string, string>> {
  const variables = Object.fromEntries(
    env.flatMap((line): readonly (readonly [string, string])[] => {
      const cut = line.indexOf('=');
      return cut < 0 ? [] : [[line.slice(0, cut), line.slice(cut + 1)]];
    }),
  );
  return Object.fromEntries(
    [
      ...chosen(labels, options['labels'], options['labels-regex']),
      ...chosen(variables, options['env'], options['env-regex']),
    ].flatMap(([key, value]): readonly (readonly [string, string])[] => {
      const name = rename(key);
      return name === '' ? [] : [[name, value]];
    }),
  );
}

/** InvalidArgumentError for a pattern that is none. */
export function checkPatterns(options: LogOptions): void {
  for (const name of ['labels-regex', 'env-regex']) {
    if (compileGoRegexp(options[name] ?? '') === null)
      throw new InvalidArgumentError(`log opt '${name}': error parsing regexp: ${options[name] ?? ''}`);
  }
}

function chosen(
  values: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): readonly (readonly [string, string])[] {
  const wanted = new Set((names ?? '').split(',').filter((name) => name !== ''));
  const isChosen = pattern === undefined || pattern === '' ? null : compileGoRegexp(pattern);
  return Object.entries(values).filter(([key]) => wanted.has(key) || isChosen?.(key) === true);
}
