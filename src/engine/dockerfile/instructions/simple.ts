/** Instructions of a word or a list of words: WORKDIR, USER, VOLUME, EXPOSE, STOPSIGNAL, MAINTAINER, ONBUILD, SHELL. */
import { constants } from 'node:os';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { expandWords } from '../text/expansion.ts';
import { readFlags } from './flags.ts';
import { meaning, type Line, type Reader } from './meaning.ts';

const HIGHEST_SIGNAL = 64;
/** Real-time signals have no number in `os.constants`. */
const REALTIME_SIGNAL = /^RTM(?:IN(?:\+\d{1,2})?|AX(?:-\d{1,2})?)$/;

export const workdir: Reader = (line) => {
  const path = oneWord('WORKDIR', line);
  return meaning((expand) => {
    const expanded = expand(path);
    if (expanded === '') throw new InvalidArgumentError('cannot normalize nothing');
    return { kind: 'workdir', path: expanded };
  }, line);
};

export const user: Reader = (line) => {
  const name = oneWord('USER', line);
  return meaning((expand) => ({ kind: 'user', user: expand(name) }), line);
};

export const volume: Reader = (line) => {
  const paths = words('VOLUME', line).map((path) => path.trim());
  const refuseEmpty = (all: readonly string[]): readonly string[] => {
    if (all.includes('')) throw new InvalidArgumentError('VOLUME specified can not be an empty string');
    return all;
  };
  refuseEmpty(paths);
  return meaning((expand) => ({ kind: 'volume', paths: refuseEmpty(paths.map(expand)) }), line);
};

export const expose: Reader = (line) => {
  const ports = words('EXPOSE', line).toSorted();
  // A variable may hold several ports, or none.
  return meaning((_, environment) => {
    return { kind: 'expose', ports: ports.flatMap((port) => expandWords(port, environment, line.escape)) };
  }, line);
};

export const stopsignal: Reader = (line) => {
  const signal = oneWord('STOPSIGNAL', line);
  return meaning((expand) => ({ kind: 'stopsignal', signal: checkedSignal(expand(signal)) }), line);
};

export const maintainer: Reader = (line) => {
  const name = oneWord('MAINTAINER', line);
  return meaning(() => ({ kind: 'maintainer', name }), line);
};

export const onbuild: Reader = (line) => {
  const [keyword] = words('ONBUILD', line);
  const trigger = (keyword ?? '').toUpperCase();
  if (trigger === 'ONBUILD') {
    throw new InvalidArgumentError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (trigger === 'MAINTAINER' || trigger === 'FROM') {
    throw new InvalidArgumentError(`${trigger} isn't allowed as an ONBUILD trigger`);
  }
  const texts = line.heredocs.map(({ name, content }) => `\n${content}${name}`);
  const text = line.node.text.replace(/^onbuild\s*/i, '') + texts.join('');
  return meaning(() => ({ kind: 'onbuild', trigger: text }), line);
};

export const shell: Reader = (line) => {
  const { args, isJson } = line.node;
  readFlags(line.node.flags, {});
  if (args.length === 0) throw new InvalidArgumentError('SHELL requires at least one argument');
  if (!isJson) throw new InvalidArgumentError('SHELL requires the arguments to be in JSON form');
  return meaning(() => ({ kind: 'shell', words: args }), line);
};

function oneWord(keyword: string, { node }: Line): string {
  const [word] = node.args;
  if (word === undefined) throw new InvalidArgumentError(`${keyword} requires exactly one argument`);
  readFlags(node.flags, {});
  return word;
}

function words(keyword: string, { node }: Line): readonly string[] {
  if (node.args.length === 0) throw new InvalidArgumentError(`${keyword} requires at least one argument`);
  readFlags(node.flags, {});
  return node.args;
}

function checkedSignal(text: string): string {
  const number = /^\d+$/.test(text) ? Number(text) : null;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const isKnown =
    number === null
      ? `SIG${name}` in constants.signals || REALTIME_SIGNAL.test(name)
      : number > 0 && number <= HIGHEST_SIGNAL;
  if (!isKnown) throw new InvalidArgumentError(`invalid signal: ${text}`);
  return text;
}
