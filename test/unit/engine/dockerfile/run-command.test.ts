import { describe, expect, it } from 'vitest';
import { runCommand, type RunCommand } from '../../../../src/engine/dockerfile/run-command.ts';
import { parseDockerfile } from '../../../../src/engine/dockerfile/parse.ts';

function command(text: string, shell?: readonly string[]): RunCommand {
  const [run] = parseDockerfile(`FROM a\n${text}`, 'Dockerfile').stages[0]?.instructions ?? [];
  const expanded = run?.expand(new Map());
  if (expanded?.kind !== 'run') throw new TypeError('no RUN');
  return runCommand(shell === undefined ? {} : { Shell: shell }, expanded.command);
}

describe('runCommand', () => {
  it.each<[string, readonly string[]]>([
    ['RUN a  b', ['/bin/sh', '-c', 'a  b']],
    ['RUN ["a", "b"]', ['a', 'b']],
    ['RUN', ['/bin/sh', '-c']],
    ['RUN <<EOF\na\nb\nEOF', ['/bin/sh', '-c', 'a\nb\n']],
    ['RUN <<-EOF\n\ta\n\tEOF', ['/bin/sh', '-c', 'a\n']],
    ['RUN cat <<A <<B\n1\nA\n2\nB', ['/bin/sh', '-c', 'cat <<A <<B\n1\nA\n2\nB']],
  ])('%j', (text, words) => {
    expect(command(text)).toEqual({ words, script: null });
  });

  it('goes by the stage’s shell', () => {
    expect(command('RUN a', ['/bin/bash', '-ec']).words).toEqual(['/bin/bash', '-ec', 'a']);
  });

  it('makes a program of a heredoc that names its interpreter', () => {
    const content = '#!/usr/bin/env python\nprint(1)\n';
    expect(command(`RUN <<EOF\n${content}EOF`)).toEqual({
      words: ['/dev/pipes/EOF'],
      script: { target: '/dev/pipes/EOF', content },
    });
  });
});
