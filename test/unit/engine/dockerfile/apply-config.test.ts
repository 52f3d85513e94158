import { describe, expect, it } from 'vitest';
import { parseDockerfile } from '../../../../src/engine/dockerfile/parse.ts';
import {
  applyToConfig,
  isConfigInstruction,
  recordedStep,
  type ConfigStep,
} from '../../../../src/engine/dockerfile/apply-config.ts';
import type { ImageRunConfig } from '../../../../src/engine/oci/image-spec.ts';

/** What each line of a stage does to `base`. */
function steps(text: string, base: ImageRunConfig = {}): readonly ConfigStep[] {
  const { stages } = parseDockerfile(`FROM a\n${text}`, 'Dockerfile');
  const done: ConfigStep[] = [];
  for (const instruction of stages[0]?.instructions ?? []) {
    const state = done.at(-1)?.state ?? { config: base, author: null, isCommandSet: false };
    const expanded = instruction.expand(new Map());
    if (!isConfigInstruction(expanded)) throw new TypeError(expanded.kind);
    done.push(applyToConfig(state, expanded));
  }
  return done;
}

function history(text: string): readonly string[] {
  return steps(text).map(({ recorded }) => recorded.join(' '));
}

describe('the history', () => {
  it.each([
    ['ENV a=b c="d e"', '/bin/sh -c #(nop)  ENV a=b c=d e'],
    ['LABEL a=b', '/bin/sh -c #(nop)  LABEL a=b'],
    ['ARG a b=c', '/bin/sh -c #(nop)  ARG a b=c'],
    ['WORKDIR /a/../b/', '/bin/sh -c #(nop) WORKDIR /b'],
    ['USER me', '/bin/sh -c #(nop)  USER me'],
    ['CMD echo "hi"', '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "echo \\"hi\\""]'],
    ['CMD []', '/bin/sh -c #(nop)  CMD []'],
    ['ENTRYPOINT ["a","é\\u0001"]', '/bin/sh -c #(nop)  ENTRYPOINT ["a" "é\\x01"]'],
    ['ENTRYPOINT []', '/bin/sh -c #(nop)  ENTRYPOINT []'],
    ['EXPOSE 80-82 443/udp', '/bin/sh -c #(nop)  EXPOSE 443/udp 80-82'],
    ['VOLUME /a [b', '/bin/sh -c #(nop)  VOLUME [/a [b]'],
    ['SHELL ["/bin/bash","-c"]', '/bin/bash -c #(nop)  SHELL [/bin/bash -c]'],
    ['STOPSIGNAL 9', '/bin/sh -c #(nop)  STOPSIGNAL 9'],
    ['ONBUILD RUN x', '/bin/sh -c #(nop)  ONBUILD RUN x'],
    ['MAINTAINER me <a@b>', '/bin/sh -c #(nop)  MAINTAINER me <a@b>'],
    ['HEALTHCHECK NONE', '/bin/sh -c #(nop)  HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'}'],
    [
      'HEALTHCHECK --interval=90s --timeout=3s --retries=65 CMD x',
      '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "x"] "1m30s" "3s" "0s" "0s" \'A\'}',
    ],
  ])('of %s', (line, recorded) => {
    expect(history(line)).toEqual([recorded]);
  });

  it('begins with the stage’s shell', () => {
    expect(history('SHELL ["/s"]\nCMD x').at(-1)).toBe('/s #(nop)  CMD ["/s" "x"]');
    expect(recordedStep({ Shell: ['/s'] }, 'COPY file:1 in / ')).toEqual(['/s', '#(nop) COPY file:1 in / ']);
  });
});

describe('the configuration', () => {
  it.each<[string, ImageRunConfig, ImageRunConfig]>([
    ['ENV A=2 B=3', { Env: ['A=1', 'C=0', 'A=9'] }, { Env: ['A=2', 'C=0', 'A=9', 'B=3'] }],
    ['WORKDIR a', { WorkingDir: '/x' }, { WorkingDir: '/x/a' }],
    ['WORKDIR ../..', { WorkingDir: '/x' }, { WorkingDir: '/' }],
    ['ENTRYPOINT ["e"]', { Cmd: ['c'] }, { Cmd: null, Entrypoint: ['e'] }],
    ['CMD ["c"]\nENTRYPOINT ["e"]', { Cmd: ['b'] }, { Cmd: ['c'], Entrypoint: ['e'] }],
    ['CMD []\nENTRYPOINT ["e"]', { Cmd: ['b'] }, { Cmd: null, Entrypoint: ['e'] }],
    ['ENTRYPOINT', { Entrypoint: ['e'] }, { Entrypoint: null }],
    ['LABEL __proto__=x', {}, { Labels: JSON.parse('{"__proto__":"x"}') as Record<string, string> }],
    ['ARG x\nMAINTAINER y', { User: 'u' }, { User: 'u' }],
  ])('after %j', (text, base, config) => {
    expect(steps(text, base).at(-1)?.state.config).toEqual(config);
  });

  it('is not the one that it was made of', () => {
    const base: ImageRunConfig = { Env: ['A=1'], Labels: { a: 'b' }, Volumes: { '/v': {} } };
    const before = structuredClone(base);
    steps('ENV A=2\nLABEL a=c\nVOLUME /w\nEXPOSE 1\nONBUILD RUN x', base);
    expect(base).toEqual(before);
  });

  it('has an author beside it', () => {
    expect(steps('MAINTAINER a\nUSER b').at(-1)?.state.author).toBe('a');
  });

  it('tells of a health check that another one replaces', () => {
    const told = steps('HEALTHCHECK CMD a b\nHEALTHCHECK CMD ["c"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD d');
    expect(told.map(({ notices }) => notices)).toEqual([
      [],
      ['Note: overriding previous HEALTHCHECK: [CMD-SHELL a b]'],
      ['Note: overriding previous HEALTHCHECK: [CMD c]'],
      [],
    ]);
  });

  it.each([
    ['EXPOSE x', 'invalid containerPort: x [Dockerfile:2]'],
    ['EXPOSE :80:', 'no port specified: :80:<empty> [Dockerfile:2]'],
    ['EXPOSE 1.2.3:1:2', 'invalid IP address: 1.2.3 [Dockerfile:2]'],
    ['EXPOSE x:2', 'invalid hostPort: x [Dockerfile:2]'],
    ['EXPOSE 1-2:5-9', 'invalid ranges specified for container and host Ports: 5-9 and 1-2 [Dockerfile:2]'],
    ['EXPOSE 1/icmp', 'invalid proto: icmp [Dockerfile:2]'],
  ])('refuses %s', (line, message) => {
    expect(() => steps(line)).toThrow(expect.objectContaining({ kind: 'invalid-argument', message }));
  });

  it('keeps what a health check leaves open', () => {
    const told = steps('HEALTHCHECK --interval=5s --retries=3 CMD a\nHEALTHCHECK --retries=1 CMD b\nHEALTHCHECK NONE');
    expect(told.map(({ state: { config } }) => config.Healthcheck)).toEqual([
      { Test: ['CMD-SHELL', 'a'], Interval: 5e9, Retries: 3 },
      { Test: ['CMD-SHELL', 'b'], Interval: 5e9, Retries: 1 },
      { Test: ['NONE'], Interval: 5e9, Retries: 1 },
    ]);
  });

  it('does not grow without an end', () => {
    const base = { Env: [`B=${'y'.repeat(2_000_000)}`] };
    expect(() => steps(`ENV A=${'x'.repeat(60_000)} C=${'x'.repeat(40_000)}`, base)).toThrow('greater than');
    expect(() => steps(`ENV A=${'x'.repeat(60_000)}\nENV C=${'x'.repeat(60_000)}`, base)).toThrow(
      'configuration is longer than',
    );
  });
});
