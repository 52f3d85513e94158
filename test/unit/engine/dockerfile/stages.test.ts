import { describe, expect, it } from 'vitest';
import { parseDockerfile } from '../../../../src/engine/dockerfile/parse.ts';
import { planStages, type StagePlan } from '../../../../src/engine/dockerfile/stages.ts';

function plan(text: string, target = '', globals: Readonly<Record<string, string>> = {}): StagePlan {
  return planStages(parseDockerfile(text, 'Dockerfile'), { target, globals: new Map(Object.entries(globals)) });
}

const MANY = [
  'FROM alpine AS One',
  'FROM scratch AS unused',
  'FROM one AS two',
  'COPY --from=0 /a /a',
  'FROM debian AS three',
  'RUN --mount=from=ONE,target=/x --mount=from=busybox,target=/y true',
  'FROM $BASE',
  'COPY --from=two --chown=1 /a /b',
].join('\n');

describe('planStages', () => {
  it('takes what the last stage needs, in the file’s order', () => {
    const { stages, target } = plan(MANY, '', { BASE: 'three' });
    expect(target.index).toBe(4);
    expect(stages.map(({ stage, base, sources }) => [stage.index, base, [...sources]])).toEqual([
      [0, { kind: 'image', reference: 'alpine' }, []],
      [2, { kind: 'stage', index: 0 }, [['0', { kind: 'stage', index: 0 }]]],
      [
        3,
        { kind: 'image', reference: 'debian' },
        [
          ['ONE', { kind: 'stage', index: 0 }],
          ['busybox', { kind: 'image', reference: 'busybox' }],
        ],
      ],
      [4, { kind: 'stage', index: 3 }, [['two', { kind: 'stage', index: 2 }]]],
    ]);
  });

  it.each([
    ['two', [0, 2]],
    ['TWO', [0, 2]],
    ['1', [1]],
    ['one', [0]],
  ])('ends with the target %s', (target, indexes) => {
    expect(plan(MANY, target).stages.map(({ stage }) => stage.index)).toEqual(indexes);
  });

  it('takes names of later stages in FROM for images, and scratch for nothing', () => {
    const { stages } = plan('FROM alpine AS a\nFROM scratch AS alpine\nCOPY --from=a x y\nCOPY --from=scratch . .');
    expect(stages.map(({ base }) => base)).toEqual([{ kind: 'image', reference: 'alpine' }, { kind: 'scratch' }]);
    expect(stages[1]?.sources.get('scratch')).toEqual({ kind: 'scratch' });
  });

  it('gives platforms their values', () => {
    const { stages } = plan('FROM --platform=$P/$A a', '', { P: 'linux', A: 'arm64' });
    expect(stages[0]?.platform).toBe('linux/arm64');
  });

  it.each([
    ['FROM a AS builder', 'bulder', 'target stage "bulder" could not be found (did you mean builder?)'],
    ['FROM a', '1', 'target stage "1" could not be found'],
    ['FROM $X', '', 'base name ($X) should not be blank (give its ARG a default before the first FROM) [Dockerfile:1]'],
    ['FROM --platform=$X a', '', 'empty platform value from expression $X [Dockerfile:1]'],
    ['FROM ${X', '', 'failed to process "${X": syntax error: missing \'}\' [Dockerfile:1]'],
    ['FROM a AS b\nFROM c AS B', '', 'b stage name already used [Dockerfile:2]'],
    ['FROM a\nCOPY --from=0 x y', '', 'invalid from flag value 0: refers to current build stage [Dockerfile:2]'],
    ['FROM a\nCOPY --from=7 x y', '', 'invalid from flag value 7: index out of bounds [Dockerfile:2]'],
    ['FROM a\nCOPY --from=-1 x y', '', 'invalid from flag value -1: index out of bounds [Dockerfile:2]'],
    ['FROM a AS b\nCOPY --from=b x y', '', 'circular dependency detected on stage: b [Dockerfile:2]'],
    [
      'FROM a\nRUN --mount=from=later,target=/x y\nFROM b AS Later\nCOPY --from=0 x y',
      '',
      'cannot copy from stage "later", it needs to be defined before current stage "stage-0" [Dockerfile:2]',
    ],
  ])('refuses %j', (text, target, message) => {
    expect(() => plan(text, target)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message }));
  });

  it('does not mind what the target does not need', () => {
    const text = 'FROM a AS b\nFROM ${BAD\nCOPY --from=9 x y\nFROM c AS d\nFROM e AS d';
    expect(plan(text, 'b').stages).toHaveLength(1);
    expect(plan(text, '2').stages).toHaveLength(1);
  });
});
