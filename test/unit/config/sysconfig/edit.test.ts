import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSysconfig } from '../../../../src/config/sysconfig.ts';
import { editSysconfig } from '../../../../src/config/sysconfig-editing.ts';
import { readAsFillup, readAsShell, readAsYast } from '../../../../src/config/sysconfig/readers.ts';

const edit = (text: string, changes: Readonly<Record<string, string | null>>): string =>
  editSysconfig(Buffer.from(text), new Map(Object.entries(changes))).toString();

describe('setting a variable', () => {
  it.each([
    ['keeps double quotes', 'A="x"\n', 'y z', 'A="y z"\n'],
    ['keeps single quotes', "A='x'\n", 'y z', "A='y z'\n"],
    ['keeps a bare value bare', 'A=x\n', 'y', 'A=y\n'],
    ['quotes a bare value that needs it', 'A=x\n', 'y z', 'A="y z"\n'],
    ['empties with quotes', 'A=x\n', '', 'A=""\n'],
    [
      'takes single quotes for what double ones would change',
      'A="x"\n',
      '$HOME "a" `b` \\c',
      'A=\'$HOME "a" `b` \\c\'\n',
    ],
    ['escapes where neither would do', 'A="x"\n', `it's $5`, 'A="it\'s \\$5"\n'],
    ['leaves single quotes that do not fit', "A='x'\n", "it's", 'A="it\'s"\n'],
    ['keeps indentation, drops blanks before the sign', '  A =x\n', 'y', '  A=y\n'],
    ['keeps the missing newline', 'A="x"', 'y', 'A="y"'],
    ['keeps CRLF', '# c\r\nA="x"\r\nB=1\r\n', 'y', '# c\r\nA="y"\r\nB=1\r\n'],
    ['replaces a value over lines by one line', 'A="x \\\n  y"\n# c\n', 'z', 'A="z"\n# c\n'],
    ['keeps a comment that systemd took for the value', 'A="x"   # why\nB=1\n', 'y', '# why\nA="y"\nB=1\n'],
    ['keeps a comment behind a bare value', 'A=x # why \\\n\nB=1\n', 'y', '# why\nA=y\nB=1\n'],
    ['changes the last assignment, which counts', 'A=1\nA=2\n', '3', 'A=1\nA=3\n'],
    ['does nothing for the same value', 'A=  x \\\n y\n', 'x  y', 'A=  x \\\n y\n'],
    ['writes UTF-8', 'A="x"\n', '\u00e4\u{1f427}', 'A="\u00e4\u{1f427}"\n'],
    ['appends a new variable behind an empty line', '# c\nB=1\n', 'x', '# c\nB=1\n\nA="x"\n'],
    ['appends with the missing newline', 'B=1', 'x', 'B=1\n\nA="x"\n'],
    ['appends in CRLF', 'B=1\r\n', 'x', 'B=1\r\n\r\nA="x"\r\n'],
    ['begins a file', '', 'x', 'A="x"\n'],
    [
      'puts it below the comment with its name',
      '## Type: string\n#A="old"\nB=1\n',
      'x',
      '## Type: string\n#A="old"\nA="x"\nB=1\n',
    ],
    ['is not drawn into a comment', '#A=1 \\\nB=1\n# end \\', 'x', '#A=1 \\\nB=1\n# end \\\n\nA="x"\n'],
  ])('%s', (_, before, value, after) => {
    expect(edit(before, { A: value })).toBe(after);
  });

  it('leaves bytes that are no UTF-8 in comments', () => {
    const before = Buffer.from('# \xff\nA="x"\n', 'latin1');
    expect(editSysconfig(before, new Map([['A', 'y']])).toString('latin1')).toBe('# \xff\nA="y"\n');
  });

  it.each([
    ['a NUL', 'A="x"\n', 'A', 'a\0b', 'the value of A holds a NUL byte'],
    [
      'a lone surrogate',
      'A="x"\n',
      'A',
      '\ud800',
      'the value of A holds what is no character of UTF-8 text for systemd',
    ],
    ['a noncharacter', 'A="x"\n', 'A', '\uffff', 'the value of A holds what is no character of UTF-8 text for systemd'],
    ['a name that is none', 'A="x"\n', 'A-B', 'x', 'A-B is no name of a variable'],
    [
      'a quote that is never closed',
      'B=1\nA="x\n',
      'B',
      'x',
      'a quote on line 2 is never closed: mend it by hand first',
    ],
    [
      'a NUL in the file',
      'B=1\n#\0\n',
      'B',
      'x',
      'systemd refuses the file for what is on line 2: mend it by hand first',
    ],
  ])('refuses %s', (_, before, name, value, message) => {
    expect(() => edit(before, { [name]: value })).toThrow(message);
  });
});

describe('unsetting a variable', () => {
  it.each([
    ['leaves it empty below its description', '# help\nA="x"\nB=1\n', '# help\nA=""\nB=1\n'],
    ['takes the line where nothing describes it', 'B=1\nA="x"\nC=2\n', 'B=1\nC=2\n'],
    ['takes all lines of the value', 'B=1\nA="x\ny"\nC=2\n', 'B=1\nC=2\n'],
    ['takes every assignment', '# help\nA=1\nB=1\nA=2\n', '# help\nA=""\nB=1\n'],
    ['does nothing where it is not set', 'B=1\n', 'B=1\n'],
    ['does nothing where it is empty', '# help\nA=\n', '# help\nA=\n'],
  ])('%s', (_, before, after) => {
    expect(edit(before, { A: null })).toBe(after);
  });
});

const line = fc.oneof(
  fc.constantFrom('', '  ', '# c', '## Type: string', '#A="x"', '; c', 'fi', 'export E=1', '# end \\', '# \u00e4'),
  fc
    .tuple(
      fc.constantFrom('A', 'B', 'C_1', ' D'),
      fc.constantFrom('=', ' =', '= '),
      fc.constantFrom(
        '',
        'x',
        'x y',
        '"x y"',
        "'x'",
        '"x" # c',
        'x # c',
        '"a \\\n b"',
        '"a\nb"',
        'a \\\nb',
        '"\\$x"',
        `"a"'b'`,
      ),
    )
    .map((parts) => parts.join('')),
);
const file = fc
  .tuple(fc.array(line, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'), fc.constantFrom('', '\n'))
  .map(([lines, lineEnd, last]) => (lines.length === 0 ? '' : lines.join(lineEnd) + (last === '' ? '' : lineEnd)));
const value = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', 'x', '--a "b c"', "it's", '$x', 'a\nb', '\\', '# x'),
);
const writable = value.filter((text) => !/[\0\p{Surrogate}\p{Noncharacter_Code_Point}]/u.test(text));

describe('whatever the file and the value', () => {
  it('the value is read back, other variables and untouched lines stay', () => {
    fc.assert(
      fc.property(file, fc.constantFrom('A', 'B', 'NEW'), fc.option(writable), (text, name, wanted) => {
        const before = parseSysconfig(Buffer.from(text));
        if (before.assignments.some(({ openQuote }) => openQuote !== null)) return;
        const edited = edit(text, { [name]: wanted });
        const after = parseSysconfig(Buffer.from(edited));
        expect(after.variables.get(name)?.value ?? '').toBe(wanted ?? '');
        for (const [other, { value: kept }] of before.variables) {
          if (other !== name) expect(after.variables.get(other)?.value).toBe(kept);
        }
        expect(edit(edited, { [name]: wanted })).toBe(edited);
        if (
          (before.variables.get(name)?.value ?? '') === (wanted ?? '') &&
          wanted !== null &&
          before.variables.has(name)
        )
          expect(edited).toBe(text);
        const isComment = (one: string): boolean => /^[ \t]*[#;]/.test(one);
        const kept = new Set(edited.split(/\r?\n/));
        if (before.assignments.every(({ line: first, endLine }) => first === endLine)) {
          expect(text.split(/\r?\n/).filter((one) => isComment(one) && !kept.has(one))).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('all four readers agree where the value allows it', () => {
    fc.assert(
      fc.property(writable, fc.constantFrom('A="x"\n', "A='x'\n", 'A=x\n'), (wanted, text) => {
        const [variable] = parseSysconfig(Buffer.from(edit(text, { A: wanted }))).assignments;
        const raw = variable?.raw ?? '';
        expect(readAsShell(raw)).toBe(/[\n]/.test(wanted) ? readAsShell(raw) : wanted);
        if (/[\r\n]/.test(wanted) || (wanted.includes("'") && /["\\$`]/.test(wanted))) return;
        expect([readAsYast(raw), readAsFillup(raw, variable?.value ?? '')]).toEqual([wanted, wanted]);
        expect(parseSysconfig(Buffer.from(`${raw}\n`)).problems).toEqual([]);
      }),
    );
  });
});
