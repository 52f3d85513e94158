import { describe, expect, it } from 'vitest';
import { parseSysconfig } from '../../../../src/config/sysconfig.ts';
import { choicesOfType, typeMismatch } from '../../../../src/config/sysconfig/types.ts';

const metadataOf = (text: string) =>
  Object.fromEntries(parseSysconfig(Buffer.from(text)).assignments.map(({ name, metadata }) => [name, metadata]));

describe('metadata', () => {
  it('is read with and without blanks before the colon', () => {
    const text = [
      '## Path           : System/Management',
      '## Description:Extra flags',
      '##Type : string(a,b)',
      '## Default        : "--debug"',
      '## ServiceRestart : docker,other',
      '## Command: /bin/true',
      '## PreSaveCommand: /bin/false',
      '### nobody reads this',
      '#',
      '# Two lines',
      '#  of help.',
      'A=""',
    ].join('\n');
    expect(metadataOf(text)['A']).toEqual({
      path: 'System/Management',
      description: 'Extra flags',
      type: 'string(a,b)',
      default: '--debug',
      help: 'Two lines\n of help.',
      actions: {
        serviceReload: [],
        serviceRestart: ['docker', 'other'],
        command: '/bin/true',
        preSaveCommand: '/bin/false',
      },
    });
  });

  it('goes on behind a backslash', () => {
    const { A } = metadataOf('## Description: one \\\n##  two\\\n## three\n## Type: yesno\nA=""\n');
    expect(A).toMatchObject({ description: 'one   two three', type: 'yesno' });
  });

  it('has defaults', () => {
    expect(metadataOf('A=1\n')['A']).toEqual({
      path: '',
      description: '',
      type: 'string',
      default: null,
      help: '',
      actions: { preSaveCommand: '', serviceReload: [], serviceRestart: [], command: '' },
    });
  });

  it('hands the path on, and the description with it', () => {
    const text = '## Path: X\n## Description: of X\nA=\n# help\nB=\n## Path: Y\nC=\n## Path: X\nD=\n';
    const all = metadataOf(text);
    expect(all['B']).toMatchObject({ path: 'X', description: 'of X', help: 'help' });
    expect(all['C']).toMatchObject({ path: 'Y', description: '' });
    expect(all['D']).toMatchObject({ path: 'X', description: 'of X' });
  });

  it('gives a variable without a comment what the one before it has', () => {
    expect(metadataOf('## Type: yesno\n## Default: no\n# help\nA=\nB=\n# own\nC=\n')).toMatchObject({
      B: { type: 'yesno', default: 'no', help: 'help' },
      C: { type: 'string', default: null, help: 'own' },
    });
  });

  it('hands actions on until a block names one, which resets the others', () => {
    const text =
      '## ServiceRestart: docker\n## Command: x\nA=\n## Type: yesno\nB=\n## ServiceReload: docker\nC=\n## ServiceReload: ""\nD=\n';
    const all = metadataOf(text);
    expect(all['B']?.actions).toMatchObject({ serviceRestart: ['docker'], command: 'x' });
    expect(all['C']?.actions).toMatchObject({ serviceRestart: [], serviceReload: ['docker'], command: '' });
    expect(all['D']?.actions).toMatchObject({ serviceRestart: [], serviceReload: [] });
  });

  it('retires an action by the empty string', () => {
    expect(metadataOf('## ServiceReload: docker\n## ServiceRestart: ""\nA=\n')['A']?.actions).toMatchObject({
      serviceReload: ['docker'],
      serviceRestart: [],
    });
  });

  it('knows where an assignment stands', () => {
    const [first, second] = parseSysconfig(Buffer.from('# c\n\nA="x \\\n  y"\n  B = 1\n')).assignments;
    expect(first).toMatchObject({ name: 'A', line: 3, endLine: 4, raw: 'A="x \\\n  y"', quoting: 'double' });
    expect(second).toMatchObject({ name: 'B', line: 5, endLine: 5, raw: '  B = 1', quoting: 'none' });
  });
});

describe('types', () => {
  it.each([
    ['string', 'anything', null],
    ['string(a,b)', 'c', null],
    ['list(a,b)', 'b', null],
    ['list(a, "b c",d)', 'b c', null],
    ['list(a,b)', 'c', 'one of a, b'],
    ['integer', '-5', null],
    ['integer', '5x', 'an integer'],
    ['integer(1:3)', '3', null],
    ['integer(1:3)', '4', 'from 1 to 3'],
    ['integer(1:)', '0', 'at least 1'],
    ['integer(:3)', '4', 'at most 3'],
    ['integer(0:)', '99999999999999999999', null],
    ['boolean', 'true', null],
    ['boolean', 'yes', 'true or false'],
    ['yesno', 'no', null],
    ['yesno', 'NO', 'yes or no'],
    ['ip', '10.0.0.1', null],
    ['ip', 'fe80::1', null],
    ['ip', 'host', 'an IP address'],
    ['ip4', '10.0.0.1', null],
    ['ip4', '::1', 'an IPv4 address'],
    ['ip6', '::1', null],
    ['ip6', '10.0.0.1', 'an IPv6 address'],
    ['regexp(^0[0-7]*$)', '017', null],
    ['regexp(^0[0-7]*$)', '18', 'a match of ^0[0-7]*$'],
    ['regexp(^[[:digit:]]+(s|m)$)', '10s', null],
    ['regexp(^[[:digit:]]+(s|m)$)', 's', 'a match of ^[[:digit:]]+(s|m)$'],
    ['regexp(()', 'x', null],
    ['nonsense', 'x', null],
    ['yesno', '', null],
  ])('%s takes %j: %j', (type, value, wanted) => {
    expect(typeMismatch(type, value)).toBe(wanted);
  });

  it.each([
    ['list(a,"b c")', ['a', 'b c']],
    ['string(x)', ['x']],
    ['yesno', []],
  ])('choices of %s', (type, choices) => {
    expect(choicesOfType(type)).toEqual(choices);
  });
});
