import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { parseDockerfile, parseTriggers } from '../../../../src/engine/dockerfile/parse.ts';
import type { Instruction } from '../../../../src/engine/dockerfile/types.ts';

const NO_VALUES = new Map<string, string>();

/** The instructions behind `FROM a`. */
function instructions(text: string, values: ReadonlyMap<string, string> = NO_VALUES): readonly Instruction[] {
  const { stages } = parseDockerfile(`FROM a\n${text}`, 'Dockerfile');
  return (stages[0]?.instructions ?? []).map((instruction) => instruction.expand(values));
}

describe('lines', () => {
  it('know what they are, where they stand and how Docker shows them', () => {
    const text = [
      '\ufeff# syntax=docker/dockerfile:1',
      '# escape=`',
      '',
      'ARG V=1',
      'FROM --platform=$BUILDPLATFORM alpine:$V As Base',
      '  run a `',
      '# a comment',
      '    && b\r',
      'FROM base',
      'CMD ["x"]',
    ].join('\n');
    const { escape, globalArgs, stages, warnings } = parseDockerfile(text, 'some/Dockerfile');
    expect([escape, warnings, globalArgs.map(({ line }) => line.text)]).toEqual(['`', [], ['ARG V=1']]);
    expect(stages).toMatchObject([
      { index: 0, name: 'base', base: 'alpine:$V', platform: '$BUILDPLATFORM' },
      { index: 1, name: null, base: 'base', platform: null },
    ]);
    expect(stages[0]?.instructions[0]?.line).toEqual({
      file: 'some/Dockerfile',
      start: 6,
      end: 8,
      text: 'run a     && b',
    });
  });

  it('warn of empty ones in a continuation', () => {
    expect(parseDockerfile('FROM a\nRUN x \\\n\n y', 'Dockerfile').warnings).toEqual([
      '[WARNING]: Empty continuation line found in: RUN x  y',
      '[WARNING]: Empty continuation lines will become errors in a future release.',
    ]);
  });

  it('end with a file that ends in a continuation', () => {
    expect(instructions('CMD a \\')).toMatchObject([{ kind: 'cmd', command: { kind: 'shell', text: 'a' } }]);
    expect(instructions('CMD a \\\\')).toMatchObject([{ command: { text: 'a \\\\' } }]);
  });
});

describe('heredocs', () => {
  it('are scripts of RUN', () => {
    expect(
      instructions('RUN <<EOF\n  a\n\nb\nEOF\nRUN cat <<-"X Y" > /f && <<Z cat\n\tone $A\n\tX Y\n  two\nZ'),
    ).toMatchObject([
      { command: { text: '<<EOF', heredocs: [{ name: 'EOF', content: '  a\n\nb\n', expands: true }] } },
      {
        command: {
          text: 'cat <<-"X Y" > /f && <<Z cat',
          heredocs: [
            { name: 'X Y', content: 'one $A\n', expands: false },
            { name: 'Z', content: '  two\n', expands: true },
          ],
        },
      },
    ]);
  });

  it('are files of COPY, and expanded unless quoted', () => {
    const text = 'COPY a <<One.txt <<\'Two\' /x/\n$A "q"\nOne.txt\n$A\nTwo';
    expect(instructions(text, new Map([['A', 'v']]))).toMatchObject([
      {
        kind: 'copy',
        sources: ['a'],
        destination: '/x/',
        heredocs: [
          { name: 'One.txt', content: 'v "q"\n' },
          { name: 'Two', content: '$A\n' },
        ],
      },
    ]);
  });

  it('go with an ONBUILD, and come back from it', () => {
    const [onbuild] = instructions('ONBUILD RUN <<EOF\nx\nEOF');
    expect(onbuild).toMatchObject({ kind: 'onbuild', trigger: 'RUN <<EOF\nx\nEOF' });
    const [trigger] = parseTriggers(['RUN <<EOF\nx\nEOF'], '\\');
    expect(trigger?.expand(NO_VALUES)).toMatchObject({ command: { heredocs: [{ content: 'x\n' }] } });
  });

  it.each(['RUN echo "<<EOF"', 'CMD cat <<EOF', 'RUN ["<<EOF"]', 'RUN cat <<<word', 'RUN a=$((1<<3))'])(
    'are none in %s',
    (line) => {
      expect(instructions(`${line}\nCMD x`)).toMatchObject([{}, { kind: 'cmd' }]);
    },
  );

  it('may have their names apart', () => {
    expect(instructions('RUN cat << E\nx\nE\nCMD x')).toMatchObject([{ command: { heredocs: [{ name: 'E' }] } }, {}]);
  });
});

describe('instructions', () => {
  it.each<[string, object]>([
    [
      'COPY --from=base --chown=$U --chmod=0755 --link --parents --exclude=*.o --exclude=a a b /c/',
      {
        kind: 'copy',
        from: 'base',
        chown: 'me',
        chmod: '0755',
        link: true,
        parents: true,
        excludes: ['*.o', 'a'],
        sources: ['a', 'b'],
        destination: '/c/',
        unpack: null,
      },
    ],
    ['COPY ["a b", "/c d"]', { sources: ['a b'], destination: '/c d' }],
    [
      'ADD --checksum=sha256:$U --keep-git-dir=true --unpack=false http://x/$U /y',
      {
        kind: 'add',
        checksum: 'sha256:me',
        keepGitDir: true,
        unpack: false,
        sources: ['http://x/me'],
      },
    ],
    [
      'RUN --network=none --security=insecure -- a $U',
      {
        network: 'none',
        security: 'insecure',
        command: { kind: 'shell', text: 'a $U', heredocs: [] },
      },
    ],
    ['RUN ["a", "$U"]', { command: { kind: 'exec', words: ['a', '$U'] } }],
    [
      'ENV a=$U b="c d" e=\\ f',
      {
        pairs: [
          ['a', 'me'],
          ['b', 'c d'],
          ['e', ' f'],
        ],
      },
    ],
    ['ENV a  b  $U', { pairs: [['a', 'b  me']] }],
    [
      'ARG a b=$U c=',
      {
        pairs: [
          ['a', null],
          ['b', 'me'],
          ['c', ''],
        ],
      },
    ],
    ['EXPOSE 90/udp $PORTS', { ports: ['80', '443', '90/udp'] }],
    ['VOLUME ["/$U", " /b "]', { paths: ['/me', '/b'] }],
    ['SHELL ["/bin/bash", "-c"]', { words: ['/bin/bash', '-c'] }],
    ['MAINTAINER A $U', { name: 'A $U' }],
  ])('%s', (line, expected) => {
    expect(
      instructions(
        line,
        new Map([
          ['U', 'me'],
          ['PORTS', '80 443'],
        ]),
      ),
    ).toMatchObject([expected]);
  });

  it('say what they take files from', () => {
    const { stages } = parseDockerfile(
      'FROM a\nCOPY --from=b x /\nRUN --mount=from=c,target=/c --mount=type=cache,target=/d true\nARG E F=1',
      'Dockerfile',
    );
    expect(stages[0]?.instructions.map(({ needs, declares }) => [needs, declares])).toEqual([
      [['b'], []],
      [['c'], []],
      [[], ['E', 'F']],
    ]);
  });
});

describe('faults', () => {
  it.each([
    ['', 'the Dockerfile (Dockerfile) cannot be empty'],
    ['# x', 'failed to parse Dockerfile: file with no instructions [Dockerfile:1]'],
    ['ARG a', 'dockerfile contains no stages to build (begin Dockerfile with FROM <image>)'],
    ['RUN x', 'no build stage in current context (begin with FROM <image>) [Dockerfile:1]'],
    ['FROM a\nFRO b', 'dockerfile parse error on line 2: unknown instruction: FRO (did you mean FROM?) [Dockerfile:2]'],
    [
      'FROM a\n\nrunn b',
      'dockerfile parse error on line 3: unknown instruction: runn (did you mean run?) [Dockerfile:3]',
    ],
    ['FROM a\nXYZZY', 'dockerfile parse error on line 2: unknown instruction: XYZZY [Dockerfile:2]'],
    [
      'FROM a b',
      'dockerfile parse error on line 1: FROM requires either one or three arguments (write: FROM ' +
        '[--platform=<platform>] <image> [AS <name>]) [Dockerfile:1]',
    ],
    [
      'FROM a AS 1b',
      'dockerfile parse error on line 1: invalid name for build stage: "1b", name can\'t start with a number or contain ' +
        'symbols [Dockerfile:1]',
    ],
    [
      'FROM a\nENV A',
      'failed to parse Dockerfile: ENV must have two arguments (write: ENV <name>=<value>) [Dockerfile:2]',
    ],
    [
      'FROM a\nENV A=b C',
      'failed to parse Dockerfile: Syntax error - can\'t find = in "C". Must be of the form: name=value [Dockerfile:2]',
    ],
    [
      'FROM a\nRUN <<EOF\nx',
      'failed to parse Dockerfile: unterminated heredoc (end it with a line EOF) [Dockerfile:2]',
    ],
    [
      'FROM a\nCMD ["a", 1]',
      'failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only [Dockerfile:2]',
    ],
    [
      '# escape=x\nFROM a',
      "failed to parse Dockerfile: invalid escape token 'x' does not match ` or \\ [Dockerfile:1]",
    ],
    [
      '# escape=`\n# escape=`\nFROM a',
      'failed to parse Dockerfile: only one escape parser directive can be used [Dockerfile:2]',
    ],
    [
      'FROM a\nCOPY x',
      'dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination ' +
        'could not be determined (write: COPY [--from=<stage>] <source>... <destination>) [Dockerfile:2]',
    ],
    [
      'FROM a\nCOPY --form=x a b',
      'dockerfile parse error on line 2: unknown flag: --form (did you mean from?) [Dockerfile:2]',
    ],
    ['FROM a\nCOPY --from a b', 'dockerfile parse error on line 2: missing a value on flag: --from [Dockerfile:2]'],
    [
      'FROM a\nCOPY --link=x a b',
      'dockerfile parse error on line 2: expecting boolean value for flag --link, not: x [Dockerfile:2]',
    ],
    [
      'FROM a\nCOPY --chown=a --chown=b a b',
      'dockerfile parse error on line 2: duplicate flag specified: --chown [Dockerfile:2]',
    ],
    [
      'FROM a\nCOPY --from=$X a b',
      'dockerfile parse error on line 2: variable expansion is not supported for --from, define a new stage with FROM ' +
        'using ARG from global scope as a workaround [Dockerfile:2]',
    ],
    [
      'FROM a\nCOPY x <<E\nE',
      'dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination [Dockerfile:2]',
    ],
    ['FROM a\nRUN --network=x y', 'dockerfile parse error on line 2: invalid network mode "x" [Dockerfile:2]'],
    ['FROM a\nRUN --security=x y', 'dockerfile parse error on line 2: security "x" is not valid [Dockerfile:2]'],
    [
      'FROM a\nSHELL x',
      'dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form (write: SHELL ["program", ' +
        '"argument"]) [Dockerfile:2]',
    ],
    ['FROM a\nCMD x\0y', 'failed to parse Dockerfile: a NUL character: save the file as UTF-8 text [Dockerfile:2]'],
    [
      `FROM a\nRUN ${'x'.repeat(65_536)}`,
      'failed to parse Dockerfile: dockerfile line greater than max allowed size of 65535 [Dockerfile:2]',
    ],
    [
      '#'.repeat(1024 * 1024 + 1),
      'failed to parse Dockerfile: it is longer than 1 MiB: COPY large texts from the context [Dockerfile:1]',
    ],
    ['FROM a\n'.repeat(4001), 'failed to parse Dockerfile: more than 4000 instructions [Dockerfile:4001]'],
  ])('of %j', (text, message) => {
    expect(() => parseDockerfile(text, 'Dockerfile')).toThrow(
      expect.objectContaining({ kind: 'invalid-argument', message }),
    );
  });

  it.each([
    ['ENV A="x', 'failed to process "\\"x": unexpected end of statement while looking for matching double-quote'],
    ['WORKDIR $B', 'cannot normalize nothing'],
    ['VOLUME $B', 'VOLUME specified can not be an empty string'],
    ['ENV $B=x', 'ENV names can not be blank'],
    ['ARG $B=x', 'ARG names can not be blank'],
    ['STOPSIGNAL $B', 'invalid signal: '],
    ['RUN --mount=type=x y', 'unsupported mount type "x"'],
  ])('that only values show: %s', (line, message) => {
    expect(() => instructions(line)).toThrow(`${message} [Dockerfile:2]`);
  });

  it.each([
    ['FROM x', "dockerfile parse error on line 1: FROM isn't allowed as an ONBUILD trigger [ONBUILD FROM x:1]"],
    ['RUN a\nRUN b', 'onbuild trigger should be a single expression [ONBUILD RUN a]'],
    ['FOO x', 'dockerfile parse error on line 1: unknown instruction: FOO (did you mean FROM?) [ONBUILD FOO x:1]'],
  ])('of the trigger %j', (trigger, message) => {
    expect(() => parseTriggers([trigger], '\\')).toThrow(expect.objectContaining({ message }));
  });

  it('are all that comes of any text', () => {
    const piece = fc.constantFrom(
      ...[
        'FROM a',
        'RUN',
        'COPY',
        'ENV',
        'ARG',
        'ONBUILD',
        'HEALTHCHECK CMD',
        '--mount=',
        '--from=',
        '"',
        "'",
        '\\',
        '\n',
      ],
      ...['<<EOF', 'EOF', ' ', 'a=b', '$', '${', '}', '[', ']', '#', '`', 'x', ',', 'type=bind', '\r\n', '\t'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        try {
          instructions(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgumentError);
        }
      }),
    );
  });

  it.each([
    ['one long line of escapes', `RUN ${'\\ '.repeat(30_000)}`],
    ['one long line of blanks', `RUN x${' '.repeat(60_000)}y`],
    ['one long line of carriage returns', `RUN x${'\r'.repeat(60_000)}y`],
    ['many quotes', `ENV A=${`'x'"y"`.repeat(10_000)}`],
    ['many triggers in one another', `ONBUILD RUN ${'ONBUILD '.repeat(8000)}<<EOF\nEOF`],
    ['many marks of heredocs', `RUN ${'<<'.repeat(30_000)}`],
    ['one long directive', `# a=${'x '.repeat(30_000)}\nCMD x`],
    ['many short lines', 'RUN x\n'.repeat(3900)],
    ['many continuation lines', `RUN ${'x \\\n'.repeat(200_000)}y`],
  ])('and come soon: %s', (_, text) => {
    const start = performance.now();
    instructions(text);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
