import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSysconfig } from '../../../../src/config/sysconfig.ts';
import { mergeTemplate } from '../../../../src/config/sysconfig-editing.ts';

const TEMPLATE = `## Path: System/Management
## Description: The Docker daemon
## Type: string
## Default: ""
## ServiceReload: docker
## ServiceRestart: ""
#
# Flags of the daemon.
#
DOCKER_OPTS=""

## Path: System/Management
## Type: yesno
## Default: ""
## ServiceRestart: docker
#
# Firewall rules.
#
DOCKER_IPTABLES=""
`;
const IPTABLES = TEMPLATE.slice(TEMPLATE.indexOf('\n\n') + 2);
const merge = (existing: string, template = TEMPLATE): string =>
  mergeTemplate(Buffer.from(template), Buffer.from(existing)).toString();
const metadataOf = (text: string, name: string) =>
  parseSysconfig(Buffer.from(text)).assignments.find((variable) => variable.name === name)?.metadata;

describe('merging a template', () => {
  it.each([null, Buffer.alloc(0)])('gives the template where there is nothing (%j)', (existing) => {
    expect(mergeTemplate(Buffer.from(TEMPLATE), existing).toString()).toBe(TEMPLATE);
  });

  it('does nothing to a file that is the template already', () => {
    expect(merge(TEMPLATE)).toBe(TEMPLATE);
  });

  it('keeps values and adds what is new', () => {
    expect(merge(TEMPLATE.replace('OPTS=""', "OPTS='--debug'").slice(0, TEMPLATE.indexOf('\n\n') + 8))).toBe(
      TEMPLATE.replace('OPTS=""', "OPTS='--debug'").replace('\n\n', '\n\n'),
    );
  });

  it("refreshes the metadata of SUSE's stock file, blanks before the colons and all", () => {
    const stock = [
      '',
      '## Path           : System/Old',
      '## Description    : Extra cli switches for docker daemon',
      '## Type           : string',
      '## Default        : ""',
      '## ServiceRestart : docker',
      '#',
      'DOCKER_OPTS="--debug"',
      '',
    ].join('\n');
    expect(merge(stock)).toBe(
      [
        '',
        '## Path: System/Management',
        '## Description: The Docker daemon',
        '## Type: string',
        '## Default: ""',
        '## ServiceRestart: ""',
        '## ServiceReload: docker',
        '#',
        'DOCKER_OPTS="--debug"',
        '',
        IPTABLES,
      ].join('\n'),
    );
    expect(metadataOf(merge(stock), 'DOCKER_OPTS')?.actions).toMatchObject({
      serviceReload: ['docker'],
      serviceRestart: [],
    });
  });

  it('mends what fillup made of that file: both sets of metadata', () => {
    const both = `## Path: X\n## Type: string\n## ServiceReload: docker\n## Path   : Y\n## ServiceRestart : docker\n## Type : string\n#\nDOCKER_OPTS=""\n`;
    expect(merge(both)).toBe(
      `## ServiceReload: docker\n## Path: System/Management\n## ServiceRestart: ""\n## Type: string\n## Description: The Docker daemon\n## Default: ""\n#\nDOCKER_OPTS=""\n\n${IPTABLES}`,
    );
  });

  it('keeps a value over several lines whole', () => {
    const value = 'DOCKER_OPTS="--a \\\n  --b"\n';
    const merged = merge(`# mine\n${value}# more\n`);
    expect(merged).toContain(`# mine\n${value}# more\n`);
    expect(parseSysconfig(Buffer.from(merged)).variables.get('DOCKER_OPTS')?.value).toBe('--a   --b');
  });

  it('keeps help texts, foreign variables, keywords of the user, and the order', () => {
    const existing = `## Type: yesno\n## Command: /bin/mine\n# my words\nDOCKER_IPTABLES=no\n# foreign\nFOO=bar\n# old help\nDOCKER_OPTS="x"\n`;
    expect(merge(existing)).toBe(
      `## Type: yesno\n## Command: /bin/mine\n## Path: System/Management\n## Default: ""\n## ServiceRestart: docker\n# my words\nDOCKER_IPTABLES=no\n# foreign\nFOO=bar\n## Path: System/Management\n## Description: The Docker daemon\n## Type: string\n## Default: ""\n## ServiceReload: docker\n## ServiceRestart: ""\n# old help\nDOCKER_OPTS="x"\n`,
    );
  });

  it('does not hide an exported variable behind an empty one', () => {
    const merged = merge('export DOCKER_OPTS="--debug"\n');
    expect(merged).toBe(`export DOCKER_OPTS="--debug"\n\n${IPTABLES}`);
  });

  it('leaves a commented variable alone and adds the real one', () => {
    expect(merge('#DOCKER_OPTS="--debug"\nDOCKER_IPTABLES=no\n')).toContain('#DOCKER_OPTS="--debug"\n');
  });

  it('gives no metadata to a variable that shares those of the one before it', () => {
    expect(merge('# both\nDOCKER_OPTS=""\nDOCKER_IPTABLES=""\n')).toContain('DOCKER_OPTS=""\nDOCKER_IPTABLES=""\n');
  });

  it('keeps CRLF, and ends a file that has no end', () => {
    expect(merge('# c\r\nDOCKER_IPTABLES="no"', 'A="1"\n# two\nB="2"\n')).toBe(
      '# c\r\nDOCKER_IPTABLES="no"\r\n\r\nA="1"\r\n\r\n# two\r\nB="2"\r\n',
    );
  });

  it('replaces metadata over several lines by those of the template', () => {
    expect(merge('## Description: a \\\n##   b\n# help\nA=1\n', '## Description: c \\\n##  d\nA=""\n')).toBe(
      '## Description: c \\\n##  d\n# help\nA=1\n',
    );
  });

  it.each([
    ['a quote that is never closed', 'DOCKER_OPTS="x\n', 'a quote on line 1 is never closed: mend it by hand first'],
    ['what systemd refuses', 'DOCKER_OPTS="\0"\n', 'systemd refuses the file for what is on line 1'],
  ])('refuses a file with %s', (_, existing, message) => {
    expect(() => merge(existing)).toThrow(message);
  });

  it('keeps every value, adds every variable, and settles at once, whatever the file', () => {
    const line = fc.constantFrom(
      'DOCKER_OPTS="x"',
      'DOCKER_IPTABLES=no',
      'FOO="a\n# b"',
      '## Type: yesno',
      '## Type : string',
      '## Path: A \\',
      '##  b',
      '# help',
      '',
      'fi',
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 10 }), fc.constantFrom('\n', '\r\n'), (lines, lineEnd) => {
        const existing = lines.join(lineEnd);
        const merged = merge(existing);
        const before = parseSysconfig(Buffer.from(existing)).variables;
        const after = parseSysconfig(Buffer.from(merged)).variables;
        for (const [name, { raw }] of before) expect(after.get(name)?.raw).toBe(raw);
        expect([after.has('DOCKER_OPTS'), after.has('DOCKER_IPTABLES')]).toEqual([true, true]);
        expect(merge(merged)).toBe(merged);
      }),
      { numRuns: 500 },
    );
  });
});
