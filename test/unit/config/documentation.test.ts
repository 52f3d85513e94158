import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KEYS_WITHOUT_EFFECT, keyOf, nameOf, OPTIONS } from '../../../src/config/options.ts';
import { DOCKERD_VARIABLES, FLAG_VARIABLES } from '../../../src/config/variables.ts';

const TEXT = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

/** Rows of the table under a heading or sentence: cells by the text of the first one. */
function rowsBelow(start: string): ReadonlyMap<string, readonly string[]> {
  const from = TEXT.indexOf(start);
  expect(from, start).toBeGreaterThan(-1);
  const lines = TEXT.slice(from).split('\n');
  const first = lines.findIndex((line) => line.startsWith('| --- '));
  const length = lines.slice(first + 1).findIndex((line) => !line.startsWith('|'));
  return new Map(
    lines.slice(first + 1, first + 1 + length).map((line): [string, readonly string[]] => {
      const cells = line
        .replaceAll(String.raw`\|`, '\u0000')
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('\u0000', '|').replaceAll('`', ''));
      return [cells[0] ?? '', cells];
    }),
  );
}

const flagOf = ({ flag, short }: { readonly flag: string; readonly short?: string }): string =>
  short === undefined ? `--${flag}` : `--${flag}, -${short}`;

describe('docs/configuration.md', () => {
  it('has each typed variable with what applies it', () => {
    const wanted = OPTIONS.flatMap((option) =>
      option.variable === undefined
        ? []
        : [[option.variable, nameOf(option), option.live === true ? 'reload' : 'restart']],
    );
    const rows = [...rowsBelow('## Typed variables').values()];
    expect(rows.map(([variable, key, , applied]) => [variable, key, applied])).toEqual(wanted);
  });

  it('has each of moored’s own options with its help', () => {
    const rows = [...rowsBelow('## moored’s own options'.replace('’', "'")).values()];
    expect(rows.map(([flag, key, variable, , help]) => [flag, key, variable, help])).toEqual(
      OPTIONS.filter(({ own }) => own === true).map((option) => [
        `--${option.flag}`,
        keyOf(option) ?? '',
        option.variable ?? '',
        option.help,
      ]),
    );
  });

  it('has each option of dockerd where it belongs', () => {
    const dockerd = OPTIONS.filter(({ own }) => own !== true);
    const offered = dockerd.filter(({ refused, ignored }) => refused === undefined && ignored === undefined);
    expect([...rowsBelow("## dockerd's options").values()]).toEqual(
      offered.map((option) => {
        const key = keyOf(option) ?? '';
        return [flagOf(option), key === option.flag ? '' : key, option.live === true ? 'live' : 'restart'];
      }),
    );
    expect([...rowsBelow('Taken without effect').values()].slice(0, -1)).toEqual(
      dockerd.flatMap(({ flag, ignored }) => (ignored === undefined ? [] : [[`--${flag}`, ignored]])),
    );
    expect([...rowsBelow('Refused with the reason').values()]).toEqual(
      dockerd.flatMap(({ flag, refused }) => (refused === undefined ? [] : [[`--${flag}`, refused]])),
    );
  });

  it('names every other key and variable', () => {
    for (const name of [...KEYS_WITHOUT_EFFECT.keys(), ...DOCKERD_VARIABLES, ...FLAG_VARIABLES]) {
      expect([name, TEXT.includes(`\`${name}\``)]).toEqual([name, true]);
    }
  });
});
