import { describe, expect, it } from 'vitest';
import { parseSysconfig, type SysconfigCode } from '../../../../src/config/sysconfig.ts';

const knownKeys = ['DOCKER_OPTS', 'DOCKER_IPTABLES', 'A', 'B'];
const wordKeys = ['DOCKER_OPTS'];
const problemsOf = (text: string) => parseSysconfig(Buffer.from(text, 'latin1'), { knownKeys, wordKeys }).problems;

const TRAPS: readonly (readonly [SysconfigCode, string, string, 'error' | 'warning'])[] = [
  ['nul-byte', 'A=1\nB="\0"\n', '2: a NUL byte: systemd refuses the whole file. Take it away.', 'error'],
  [
    'invalid-utf8',
    '# \xff\nA="\xff"\n',
    '2: bytes that are not UTF-8 in a variable: systemd refuses the whole file. Save the file as UTF-8.',
    'error',
  ],
  [
    'byte-order-mark',
    '\xef\xbb\xbf# c\nA=1\n',
    '1: a byte order mark hides what stands on the first line. Save the file as UTF-8 without it.',
    'error',
  ],
  [
    'crlf',
    '# c\nA=1\r\nB=1\r\n',
    "2: lines end in CR LF: a shell and YaST take the CR into the value. Take the carriage returns away (sed -i 's/\\r$//').",
    'warning',
  ],
  [
    'export',
    'export A="x"\n',
    '1: A: systemd takes "export A" for the name, and drops the line. Write A= alone.',
    'error',
  ],
  [
    'export',
    'declare -x A=x\n',
    '1: A: systemd takes "declare -x A" for the name, and drops the line. Write A= alone.',
    'error',
  ],
  [
    'shell-code',
    'A=1\nif [ -z "$A" ]; then\n',
    '2: "if [ -z "$A" ]; then" is no assignment: systemd runs no shell, skips the line, and takes every assignment around it. Keep plain assignments only.',
    'warning',
  ],
  [
    'shell-code',
    '[ "$A" = x ] && B=1\n',
    '1: "[ "$A" = x ] && B=1" is no assignment: systemd runs no shell, skips the line, and takes every assignment around it. Keep plain assignments only.',
    'warning',
  ],
  [
    'invalid-name',
    'DOCKER-OPTS=x\n',
    '1: "DOCKER-OPTS" is no name of a variable; systemd drops the line. Letters, digits and underscores only, no digit first.',
    'warning',
  ],
  [
    'unclosed-quote',
    'B=1\nA="x\n',
    '2: A: the quote " is never closed, so that systemd takes the rest of the file as the value. Close it at the end of line 2.',
    'error',
  ],
  [
    'text-after-quote',
    'A="x"   # c\n',
    '1: A: text behind the closing quote belongs to the value, which systemd reads as "x# c". Put comments on a line of their own, and the whole value into one pair of quotes.',
    'error',
  ],
  [
    'trailing-comment',
    'A=x # c\n',
    '1: A: systemd knows no comments behind a value, and reads "x # c". Put the comment on a line of its own.',
    'error',
  ],
  [
    'comment-continuation',
    '# c \\\nA=1\n',
    '2: A: the comment on line 1 ends in a backslash: systemd before 254 reads this line as comment too. Take the backslash away.',
    'error',
  ],
  [
    'shell-expansion',
    'A="--data-root $HOME/x"\n',
    '1: A: $HOME is not expanded: systemd runs no shell, and passes it on as it is. Write the value out; a literal one goes into single quotes.',
    'error',
  ],
  [
    'shell-expansion',
    'A=`hostname`\n',
    '1: A: `hostname` is not expanded: systemd runs no shell, and passes it on as it is. Write the value out; a literal one goes into single quotes.',
    'error',
  ],
  [
    'multi-line',
    'B=1\nA="--a \\\n  --b"\n',
    '2: A: the value goes on to line 3; fillup, run by package updates, breaks such values. Write it on one line.',
    'warning',
  ],
  [
    'read-differently',
    'A="say \\"x\\""\n',
    '1: A: systemd reads "say \\"x\\"", YaST "say \\\\\\"x\\\\\\"". Write A="value" on one line, without backslashes, dollars, backquotes and double quotes inside.',
    'warning',
  ],
  [
    'read-differently',
    'A=plain words\n',
    '1: A: systemd reads "plain words", a shell something else. Write A="value" on one line, without backslashes, dollars, backquotes and double quotes inside.',
    'warning',
  ],
  ['duplicate', 'A=1\nB=1\nA=2\n', '1: A: line 3 assigns it again, and wins. Keep one of the two.', 'warning'],
  [
    'commented-key',
    '#DOCKER_OPTS="--debug"\n',
    '1: DOCKER_OPTS: it is commented out: fillup, run by package updates, puts the empty variable of its template there. Write DOCKER_OPTS="" in place of the comment.',
    'warning',
  ],
  [
    'unknown-key',
    'DOCKER_OPT="x"\n',
    '1: DOCKER_OPT: no variable of this name means anything to the daemon. Perhaps DOCKER_OPTS is meant.',
    'warning',
  ],
  [
    'unknown-key',
    'OPTIONS="--debug"\n',
    '1: OPTIONS: no variable of this name means anything to the daemon. Perhaps DOCKER_OPTS is meant.',
    'warning',
  ],
  [
    'unknown-key',
    'HTTP="x"\n',
    '1: HTTP: no variable of this name means anything to the daemon. Check the name.',
    'warning',
  ],
  [
    'reload-and-restart',
    '## ServiceRestart : docker\n## ServiceReload: docker\nA="x"\n',
    '3: A: YaST reloads and restarts the service after a change, since the metadata name both. Write ## ServiceRestart: "" where a reload is enough.',
    'warning',
  ],
  [
    'unbalanced-quotes',
    'DOCKER_OPTS="--label \'a b"\n',
    '1: DOCKER_OPTS: the quote \' within the value is never closed; systemd passes "a b" as the last argument. Close it.',
    'error',
  ],
  [
    'unbalanced-quotes',
    "DOCKER_OPTS='--debug \\'\n",
    '1: DOCKER_OPTS: the value ends in a backslash; systemd passes "" as the last argument. Take it away.',
    'error',
  ],
  [
    'wrong-type',
    '## Type: yesno\nA="true"\n',
    '2: A: "true" is not of type yesno. Give yes or no, or the empty value for the default.',
    'error',
  ],
];

describe('the traps of sysconfig files', () => {
  it.each(TRAPS)('%s: %j', (code, text, told, severity) => {
    const problems = problemsOf(text);
    const linesOf = problems.map(({ line, key, text: what, cure }) =>
      [line, ...(key === '' ? [] : [key]), `${what}. ${cure}.`].join(': '),
    );
    expect(linesOf).toEqual([told]);
    expect(problems).toMatchObject([{ code, severity }]);
  });

  it.each([
    [
      'the stock file',
      '\n## Path           : System/Management\n## Type           : string\n## Default        : ""\n#\nDOCKER_OPTS=""\n',
    ],
    ['a value that all read alike', 'DOCKER_OPTS="--debug -H fd://"\n'],
    ['single quotes with anything inside', `A='$HOME "x" \\n'\n`],
    ['a hash within a word', 'A="x#y"\nB=x#y\n'],
    ['a comment that holds a key which is set', '#A="old"\nA="x"\n'],
    ['a comment that holds a strange key', '# FOO=bar\n#FOO=bar\nA="x"\n'],
    ['comments that go on', '## Path: a \\\n##   b\nA="x"\n'],
    ['an escaped dollar', "DOCKER_OPTS='--label a=$b'\n"],
  ])('nothing wrong with %s', (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });

  it('an error in a variable that the daemon does not know is a warning', () => {
    expect(problemsOf('FOO="x" # c\n').map(({ code, severity }) => [code, severity])).toEqual([
      ['text-after-quote', 'warning'],
      ['unknown-key', 'warning'],
    ]);
  });

  it('goes by line', () => {
    expect(problemsOf('A=x # c\nfi\nexport B=1\n').map(({ line }) => line)).toEqual([1, 2, 3]);
  });
});
