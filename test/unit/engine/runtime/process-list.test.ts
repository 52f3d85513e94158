import { describe, expect, it } from 'vitest';
import { InternalError, InvalidArgumentError } from '../../../../src/base/errors.ts';
import {
  commandText,
  durationText,
  startText,
  terminalText,
} from '../../../../src/engine/runtime/process-list/full-listing.ts';
import { checkPsArguments, parsePsOutput } from '../../../../src/engine/runtime/process-list/ps.ts';

describe('the output of ps', () => {
  it('is cut to our processes; the last column keeps its words, threads follow theirs', () => {
    const output =
      'USER   PID CMD\nroot     1 sh -c  a b\nroot     - -\nroot     2 other\nroot     - -\nroot    12 c\n';
    expect(parsePsOutput(output, new Set([1, 12]))).toEqual({
      titles: ['USER', 'PID', 'CMD'],
      rows: [
        ['root', '1', 'sh -c a b'],
        ['root', '-', '-'],
        ['root', '12', 'c'],
      ],
    });
  });

  it('must have the pid', () => {
    expect(() => parsePsOutput('CMD\nsh\n', new Set([1]))).toThrow(InternalError);
    expect(() => parsePsOutput('PID CMD\nx sh\n', new Set([1]))).toThrow("Unexpected pid 'x'");
    expect(() => checkPsArguments('-o pid -o comm=PID')).toThrow(InvalidArgumentError);
    expect(() => checkPsArguments('-o pid=PID,comm')).not.toThrow();
  });
});

describe('columns of ps -ef', () => {
  const now = new Date(2026, 10, 21, 12, 0, 0);

  it('shows when it began', () => {
    expect(startText(new Date(2026, 10, 21, 3, 4, 5), now)).toBe('03:04');
    expect(startText(new Date(2026, 1, 5), now)).toBe('Feb05');
    expect(startText(new Date(2025, 1, 5), now)).toBe('2025');
  });

  it('shows time, terminal and command', () => {
    expect([durationText(59), durationText(3_661), durationText(90_061)]).toEqual([
      '00:00:59',
      '01:01:01',
      '1-01:01:01',
    ]);
    expect([terminalText(0), terminalText(0x8803), terminalText(0x0401)]).toEqual(['?', 'pts/3', 'tty1']);
    expect(commandText('sh\0-c\0a\nb\0', 'sh')).toBe('sh -c a?b');
    expect(commandText('', 'dd')).toBe('[dd]');
  });
});
