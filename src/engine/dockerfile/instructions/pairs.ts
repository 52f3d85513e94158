/** ENV, LABEL and ARG. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { readFlags } from './flags.ts';
import { meaning, type Reader } from './meaning.ts';

export const env: Reader = pairs('env');
export const label: Reader = pairs('label');

function pairs(kind: 'env' | 'label'): Reader {
  const keyword = kind.toUpperCase();
  return (line) => {
    const { args, flags } = line.node;
    readFlags(flags, {});
    if (args.length === 0) throw new InvalidArgumentError(`${keyword} requires at least one argument`);
    const written = pairsOf(args);
    if (written.some(([name]) => name === '')) throw blankNames(keyword);
    return meaning((expand) => {
      const expanded = written.map(([name, value]): [string, string] => [expand(name), expand(value)]);
      if (expanded.some(([name]) => name === '')) throw blankNames(keyword);
      return { kind, pairs: expanded };
    }, line);
  };
}

export const arg: Reader = (line) => {
  const { args, flags } = line.node;
  readFlags(flags, {});
  if (args.length === 0) throw new InvalidArgumentError('ARG requires at least one argument');
  const written = args.map((word): readonly [string, string | null] => {
    const equals = word.indexOf('=');
    return equals < 0 ? [word, null] : [word.slice(0, equals), word.slice(equals + 1)];
  });
  if (written.some(([name]) => name === '')) throw blankNames('ARG');
  const { expand: expandAll } = meaning((expand) => {
    const expanded = written.map(([name, value]): [string, string | null] => [
      expand(name),
      value === null ? null : expand(value),
    ]);
    if (expanded.some(([name]) => name === '')) throw blankNames('ARG');
    return { kind: 'arg', pairs: expanded };
  }, line);
  return { needs: [], declares: written.map(([name]) => name), expand: expandAll };
};

function pairsOf(args: readonly string[]): readonly (readonly [string, string])[] {
  const count = args.length / 2;
  return Array.from({ length: count }, (_, index) => [args[index * 2] ?? '', args[index * 2 + 1] ?? '']);
}

function blankNames(keyword: string): InvalidArgumentError {
  return new InvalidArgumentError(`${keyword} names can not be blank`);
}
