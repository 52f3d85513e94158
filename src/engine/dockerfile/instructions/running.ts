/** RUN, CMD and ENTRYPOINT. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { goQuote } from '../text/go-quote.ts';
import type { CommandForm } from '../types.ts';
import { readFlags } from './flags.ts';
import { meaning, type Line, type Reader } from './meaning.ts';
import { mountSources, readMount } from './mounts.ts';

const NETWORKS = ['default', 'none', 'host'] as const;
const SECURITIES = ['sandbox', 'insecure'] as const;

export const run: Reader = (line) => {
  const flags = readFlags(line.node.flags, { mount: 'list', network: 'text', security: 'text' });
  const network = flags.text('network') ?? 'default';
  const security = flags.text('security') ?? 'sandbox';
  if (!isOneOf(NETWORKS, network)) throw new InvalidArgumentError(`invalid network mode ${goQuote(network)}`);
  if (!isOneOf(SECURITIES, security)) throw new InvalidArgumentError(`security ${goQuote(security)} is not valid`);
  const command = commandOf(line);
  const mounts = flags.list('mount');
  const { expand } = meaning((expandWord) => {
    let agents = 0;
    const read = mounts.map((text) => {
      const mount = readMount(text, expandWord, agents);
      if (mount.kind === 'ssh') agents += 1;
      return mount;
    });
    return { kind: 'run', command, mounts: read, network, security };
  }, line);
  return { needs: mounts.flatMap(mountSources), expand };
};

export const cmd: Reader = command('cmd');
export const entrypoint: Reader = command('entrypoint');

function command(kind: 'cmd' | 'entrypoint'): Reader {
  return (line) => {
    readFlags(line.node.flags, {});
    const form = commandOf(line);
    return meaning(() => ({ kind, command: form }), line);
  };
}

/** As it stands: whoever runs it expands it. */
function commandOf({ node, heredocs }: Line): CommandForm {
  if (node.isJson) return { kind: 'exec', words: node.args };
  return { kind: 'shell', text: node.args[0] ?? '', heredocs };
}

function isOneOf<T extends string>(all: readonly T[], text: string): text is T {
  return (all as readonly string[]).includes(text);
}
