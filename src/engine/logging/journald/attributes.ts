/** `labels`, `labels-regex`, `env` and `env-regex`: what of a container goes with each line of its log. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { LoggedContainer } from '../driver.ts';

type Options = Readonly<Record<string, string>>;

/** The chosen labels and environment variables, as journal fields; the environment wins, as with Docker. */
export function attributesOf({ labels, env }: LoggedContainer, options: Options): Readonly<Record<string, string>> {
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
      const field = fieldName(key);
      return field === '' ? [] : [[field, value]];
    }),
  );
}

/** Docker's rule: capitals, digits and underscores, none of these last at the start (journald drops such fields). */
export function fieldName(key: string): string {
  return key
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, '_')
    .replace(/^_+/, '');
}

/** InvalidArgumentError for a pattern that is none. */
export function checkPatterns(options: Options): void {
  for (const name of ['labels-regex', 'env-regex']) {
    try {
      new RegExp(options[name] ?? '');
    } catch {
      throw new InvalidArgumentError(`log opt '${name}': error parsing regexp: ${options[name] ?? ''}`);
    }
  }
}

function chosen(
  values: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): readonly (readonly [string, string])[] {
  const wanted = new Set((names ?? '').split(',').filter((name) => name !== ''));
  const regex = pattern === undefined || pattern === '' ? null : new RegExp(pattern);
  return Object.entries(values).filter(([key]) => wanted.has(key) || regex?.test(key) === true);
}
