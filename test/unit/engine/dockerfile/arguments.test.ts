import { describe, expect, it } from 'vitest';
import { BuildArguments, StageArguments } from '../../../../src/engine/dockerfile/arguments.ts';
import { parseDockerfile } from '../../../../src/engine/dockerfile/parse.ts';

interface Seen {
  readonly args: BuildArguments;
  readonly stages: readonly StageArguments[];
}

/** The arguments as they are at each stage's end. */
function argumentsOf(
  text: string,
  given: Readonly<Record<string, string | null>> = {},
  env: readonly string[] = [],
): Seen {
  const parsed = parseDockerfile(text, 'Dockerfile');
  const args = new BuildArguments(parsed, {
    given: new Map(Object.entries(given)),
    buildPlatform: { os: 'linux', architecture: 'amd64' },
    targetPlatform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    target: '',
  });
  const stages = parsed.stages.map(({ instructions }) => {
    const stage = new StageArguments(args);
    for (const instruction of instructions) {
      const expanded = instruction.expand(stage.environment(env));
      if (expanded.kind === 'arg') stage.declare(expanded);
    }
    return stage;
  });
  return { args, stages };
}

describe('ARG', () => {
  it('before the first FROM is for FROM, and goes by what came before it and what is given', () => {
    const { args } = argumentsOf('ARG A=1 B\nARG C=$A-$B-$TARGETARCH\nFROM a', { B: 'given', A: null });
    expect(Object.fromEntries(args.globals)).toMatchObject({ A: '1', B: 'given', C: '1-given-arm' });
  });

  it('is seen in a stage from its line on, and in no other stage', () => {
    const { stages } = argumentsOf('ARG G=global\nFROM a\nARG G L=local N\nFROM b\nARG G=own', { X: 'y' });
    expect(stages.map((stage) => stage.forRun([]))).toEqual([['G=global', 'L=local'], ['G=own']]);
  });

  it('is what --build-arg says, and less than ENV', () => {
    const { stages } = argumentsOf('FROM a\nARG A=1 B=2', { A: 'given' }, ['B=env']);
    expect(Object.fromEntries(stages[0]?.environment(['B=env', 'FLAG']) ?? [])).toEqual({
      A: 'given',
      B: 'env',
      FLAG: '',
    });
    expect(stages[0]?.forRun(['B=env'])).toEqual(['A=given']);
  });

  it('knows the platforms where it names them', () => {
    const { stages } = argumentsOf(
      'FROM a\nARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDPLATFORM TARGETSTAGE\nFROM b',
    );
    expect(stages.map((stage) => stage.forRun([]))).toEqual([
      [
        'BUILDPLATFORM=linux/amd64',
        'TARGETARCH=arm',
        'TARGETPLATFORM=linux/arm/v7',
        'TARGETSTAGE=default',
        'TARGETVARIANT=v7',
      ],
      [],
    ]);
  });

  it('lets RUN see proxies without a line, and without a trace', () => {
    const proxies = { HTTP_PROXY: 'p', no_proxy: 'n' };
    const [plain] = argumentsOf('FROM a', proxies).stages;
    expect([plain?.forRun([]), plain?.recorded(['/bin/sh', '-c', 'x'], [])]).toEqual([
      ['HTTP_PROXY=p', 'no_proxy=n'],
      ['|0', '/bin/sh', '-c', 'x'],
    ]);
    const [named] = argumentsOf('FROM a\nARG HTTP_PROXY\nARG B=2', proxies).stages;
    expect(named?.recorded(['x'], [])).toEqual(['|2', 'B=2', 'HTTP_PROXY=p', 'x']);
    expect(argumentsOf('FROM a').stages[0]?.recorded(['x'], [])).toEqual(['x']);
  });

  it('warns of what no stage has asked for', () => {
    const given = {
      Z: '1',
      A: '1',
      USED: '1',
      GLOBAL: '1',
      http_proxy: '1',
      SOURCE_DATE_EPOCH: '0',
      TARGETARCH: 'x',
      NONE: null,
    };
    expect(argumentsOf('ARG GLOBAL\nFROM a\nFROM b\nARG USED', given).args.unusedWarning()).toBe(
      '[Warning] One or more build-args [A Z] were not consumed',
    );
    expect(argumentsOf('FROM a\nARG USED', { USED: '1' }).args.unusedWarning()).toBeNull();
  });

  it('says where it cannot be expanded', () => {
    expect(() => argumentsOf('ARG A="${B?give B}"\nFROM a')).toThrow(
      'failed to process "\\"${B?give B}\\"": B: give B [Dockerfile:1]',
    );
  });
});
