/**
 * What systemd reads in a sysconfig file, case by case. One table for two judges: the unit tests hold our parser to it,
 * the system test holds the table to the systemd of this machine, so that neither can drift from what runs.
 */
export interface EnvironmentFileCase {
  readonly name: string;
  /** The file, one character a byte. */
  readonly file: string;
  /** What a unit with this EnvironmentFile gets; null: systemd refuses the file and does not start the unit. */
  readonly environment: Readonly<Record<string, string>> | null;
  /** Where systemd before 254 reads something else. */
  readonly before254?: Readonly<Record<string, string>>;
}

export const ENVIRONMENT_FILE_CASES: readonly EnvironmentFileCase[] = [
  { name: 'an empty file', file: '', environment: {} },
  { name: 'double quotes', file: 'A="x y"\n', environment: { A: 'x y' } },
  { name: 'single quotes keep everything', file: `A='a "b" $H \\n'\n`, environment: { A: 'a "b" $H \\n' } },
  { name: 'no quotes', file: 'A=plain words\n', environment: { A: 'plain words' } },
  { name: 'an empty value', file: 'A=\nB=""\nC=\'\'\n', environment: { A: '', B: '', C: '' } },
  { name: 'no newline at the end', file: 'A=x', environment: { A: 'x' } },
  { name: 'no newline after a quote', file: 'A="x"', environment: { A: 'x' } },
  { name: 'blanks around an unquoted value', file: 'A=  x  y \t\nB=1\n', environment: { A: 'x  y', B: '1' } },
  { name: 'blanks at the end of the file', file: 'A=x  ', environment: { A: 'x' } },
  { name: 'blanks inside quotes', file: 'A="  x  "\n', environment: { A: '  x  ' } },
  { name: 'blanks before the equals sign', file: 'A\t =v\n', environment: { A: 'v' } },
  { name: 'blanks before the name', file: '   A=v\n\tB=w\n', environment: { A: 'v', B: 'w' } },
  { name: 'comments', file: '# A=1\n; B=2\n  # C=3\nD=4\n', environment: { D: '4' } },
  { name: 'no comment behind a value', file: 'A=a=b # t\n', environment: { A: 'a=b # t' } },
  { name: 'text behind a closing quote', file: 'A="x"   # c\n', environment: { A: 'x# c' } },
  { name: 'word behind a closing quote', file: 'A="x"y "z"\n', environment: { A: 'xy "z"' } },
  { name: 'a blank after text behind a quote', file: 'A="x"y \n', environment: { A: 'xy' } },
  { name: 'adjacent quotes', file: `A="a"'b'c\n`, environment: { A: 'abc' } },
  { name: 'quotes with blanks between', file: `A="a"  'b'\n`, environment: { A: 'ab' } },
  { name: 'a quote within a bare value', file: 'A=x"y z"\n', environment: { A: 'x"y z"' } },
  {
    name: 'escapes in double quotes',
    file: 'A="\\"q\\" \\$x \\`id\\` e\\\\f g\\h"\n',
    environment: { A: '"q" $x `id` e\\f g\\h' },
  },
  {
    name: 'nothing is expanded',
    file: 'H=1\nA="$H ${H} `id` $(id)"\nB=$H\n',
    environment: { H: '1', A: '$H ${H} `id` $(id)', B: '$H' },
  },
  { name: 'escapes in a bare value', file: 'A=a\\ b\\n\\"c\\\\\n', environment: { A: 'a bn"c\\' } },
  { name: 'an escaped blank at the end', file: 'A=x \\ \n', environment: { A: 'x  ' } },
  { name: 'an escaped first character', file: 'A=\\"x y\n', environment: { A: '"x y' } },
  { name: 'a continued bare value', file: 'A=a \\\nb\n', environment: { A: 'a b' } },
  {
    name: 'a continued bare value keeps the blanks of its next line',
    file: 'A=a\\\n  b\n',
    environment: { A: 'a  b' },
  },
  { name: 'a continued empty value', file: 'A=\\\nB=1\n', environment: { A: 'B=1' } },
  { name: 'a continued quoted value', file: 'A="a \\\nb"\n', environment: { A: 'a b' } },
  { name: 'a quoted value over lines', file: 'A="a\nb\n"\nB=1\n', environment: { A: 'a\nb\n', B: '1' } },
  {
    name: 'a comment sign within a quoted value over lines',
    file: 'A="a\n# b\n"\nB=1\n',
    environment: { A: 'a\n# b\n', B: '1' },
  },
  { name: 'a single-quoted value over lines', file: "A='a\\\nb'\n", environment: { A: 'a\\\nb' } },
  { name: 'a quote that is never closed', file: 'A="x\nB=1\n', environment: { A: 'x\nB=1\n' } },
  { name: 'a single quote that is never closed', file: "A='x\n", environment: { A: 'x\n' } },
  { name: 'a backslash at the end of the file', file: 'A=x\\', environment: { A: 'x' } },
  { name: 'a backslash at the end of an open quote', file: 'A="x\\', environment: { A: 'x' } },
  { name: 'the last assignment wins', file: 'A=1\nB=2\nA=3\n', environment: { A: '3', B: '2' } },
  { name: 'export is no keyword', file: 'export A="1"\nB=2\n', environment: { B: '2' } },
  { name: 'names that are none', file: '1A=x\nA-B=x\nA.B=x\nA B=x\n=x\n==x\nC=1\n', environment: { C: '1' } },
  { name: 'names of every legal kind', file: '_=1\na1_B=2\n', environment: { _: '1', a1_B: '2' } },
  { name: 'lines without an assignment', file: 'if [ -z "$X" ]; then\n  A=1\nfi\nfoo\n', environment: { A: '1' } },
  { name: 'shell code with an equals sign', file: 'if [ "$X" = y ]; then A=1\nfi\nB=2\n', environment: { B: '2' } },
  { name: 'CRLF', file: '# c\r\nA="x"\r\nB=y\r\n', environment: { A: 'x', B: 'y' } },
  { name: 'CRLF within quotes', file: 'A="x\r\ny"\r\n', environment: { A: 'x\r\ny' } },
  { name: 'a continued bare value with CRLF', file: 'A=a \\\r\nb\r\n', environment: { A: 'a ' } },
  { name: 'a continued quoted value with CRLF', file: 'A="a \\\r\nb"\r\n', environment: { A: 'a \\\r\nb' } },
  { name: 'lone CR ends a line', file: 'A=1\rB=2\n', environment: { A: '1', B: '2' } },
  { name: 'other control characters', file: 'A="a\x01\x1b\x7fb"\n', environment: { A: 'a\x01\x1b\x7fb' } },
  { name: 'form feed is no blank', file: 'A=x\f\n\fB=1\n', environment: { A: 'x\f' } },
  {
    name: 'UTF-8',
    file: 'A="\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa7"\n',
    environment: { A: '\u00e4 \u20ac \u{1f427}' },
  },
  { name: 'a byte order mark hides the first name', file: '\xef\xbb\xbfA=1\nB=2\n', environment: { B: '2' } },
  { name: 'invalid UTF-8 in a value', file: 'B=1\nA="\xff"\n', environment: null },
  { name: 'invalid UTF-8 in a name', file: '\xffA="x"\nB=1\n', environment: null },
  { name: 'invalid UTF-8 in a comment', file: '# \xff\nA=1\n', environment: { A: '1' } },
  { name: 'invalid UTF-8 in a line that assigns nothing', file: '\xff\nA=1\n', environment: { A: '1' } },
  { name: 'a surrogate in UTF-8', file: 'A="\xed\xa0\x80"\n', environment: null },
  { name: 'an overlong sequence', file: 'A="\xc0\xaf"\n', environment: null },
  { name: 'a code point beyond Unicode', file: 'A="\xf4\x90\x80\x80"\n', environment: null },
  { name: 'a noncharacter', file: 'A="\xef\xbf\xbf"\n', environment: null },
  { name: 'a private character', file: 'A="\xee\x80\x80"\n', environment: { A: '\ue000' } },
  { name: 'a NUL', file: 'A=1\nB="x\0y"\n', environment: null },
  { name: 'a NUL in a comment', file: '# \0\nA=1\n', environment: null },
  {
    name: 'a comment that ends in a backslash',
    file: '# c \\\nA=1\nB=2\n',
    environment: { A: '1', B: '2' },
    before254: { B: '2' },
  },
  { name: 'a backslash within a comment', file: '# c \\x\nA=1\n', environment: { A: '1' } },
  { name: 'two backslashes at the end of a comment', file: '# c \\\\\nA=1\n', environment: { A: '1' } },
  {
    name: 'a metadata block as SUSE ships it',
    file: '\n## Path           : System/Management\n## Type           : string\n## Default        : ""\n#\nDOCKER_OPTS=""\n',
    environment: { DOCKER_OPTS: '' },
  },
  {
    name: 'the many lines of Fedora',
    file: 'OPTIONS="--selinux-enabled \\\n  --log-driver=journald \\\n  --default-ulimit nofile=1024:1024 \\\n"\n',
    environment: { OPTIONS: '--selinux-enabled   --log-driver=journald   --default-ulimit nofile=1024:1024 ' },
  },
  {
    name: 'the shell of RHEL 7',
    file: 'OPTIONS=\'--log-driver=journald\'\nif [ -z "${DOCKER_CERT_PATH}" ]; then\n    DOCKER_CERT_PATH=/etc/docker\nfi\n',
    environment: { OPTIONS: '--log-driver=journald', DOCKER_CERT_PATH: '/etc/docker' },
  },
];

/** How systemd splits the value of `$DOCKER_OPTS`, a word of its own in ExecStart. */
export interface WordsCase {
  readonly name: string;
  readonly value: string;
  readonly words: readonly string[];
  /** A quote or an escape is open at the end: systemd takes it as it is, we say so. */
  readonly open?: true;
}

export const WORDS_CASES: readonly WordsCase[] = [
  { name: 'nothing', value: '', words: [] },
  { name: 'blanks only', value: ' \t\n ', words: [] },
  { name: 'words', value: '-s  btrfs\t--debug\n-H fd://', words: ['-s', 'btrfs', '--debug', '-H', 'fd://'] },
  { name: 'carriage return as a blank', value: 'a\r\nb', words: ['a', 'b'] },
  { name: 'form feed is no blank', value: 'a\fb', words: ['a\fb'] },
  { name: 'quotes around a word', value: '--label "a b"', words: ['--label', 'a b'] },
  { name: 'quotes inside a word', value: `--label='c d'"e f"g`, words: ['--label=c de fg'] },
  { name: 'an empty word', value: `a "" ''`, words: ['a', '', ''] },
  { name: 'the other quote within quotes', value: `"it's" 'say "x"'`, words: ["it's", 'say "x"'] },
  { name: 'a backslash takes the next character', value: 'e\\f a\\ b \\"q\\" \\\\', words: ['ef', 'a b', '"q"', '\\'] },
  { name: 'no C escapes', value: '\\n \\t \\x41 \\101 \\u00e4 \\s', words: ['n', 't', 'x41', '101', 'u00e4', 's'] },
  { name: 'a backslash in double quotes', value: '"a\\"b\\n\\\\c"', words: ['a"bn\\c'] },
  { name: 'a backslash in single quotes', value: "'a\\'b\\n'", words: ["a'bn"] },
  { name: 'a backslash and a newline', value: 'a\\\nb', words: ['a\nb'] },
  {
    name: 'no expansion of variables',
    value: '$HOME ${HOME} $$ `id` ~',
    words: ['$HOME', '${HOME}', '$$', '`id`', '~'],
  },
  { name: 'no specifiers', value: '%n %% %H', words: ['%n', '%%', '%H'] },
  { name: 'no comments, no separators', value: 'a # b ; c', words: ['a', '#', 'b', ';', 'c'] },
  { name: 'an open double quote', value: 'a "b c', words: ['a', 'b c'], open: true },
  { name: 'an open single quote', value: "a 'b c", words: ['a', 'b c'], open: true },
  { name: 'an open quote with nothing behind', value: 'a "', words: ['a', ''], open: true },
  { name: 'an open escape', value: 'a b\\', words: ['a', 'b'], open: true },
  { name: 'nothing but an open escape', value: '\\', words: [''], open: true },
  { name: 'an open escape in a quote', value: '"a\\', words: ['a'], open: true },
  { name: 'UTF-8', value: '--label "\u00e4 \u{1f427}"', words: ['--label', '\u00e4 \u{1f427}'] },
];
