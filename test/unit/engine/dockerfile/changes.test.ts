import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChanges } from '../../../../src/engine/dockerfile/changes.ts';

// Recorded from dockerd 20.10.24 (`docker import --change …` and what inspect said of the image), and where Docker 28 has
// other rules or words, from its sources.
describe('changes that dockerd takes', () => {
  it.each<[string, object]>([
    ['CMD ["a","b"]', { Cmd: ['a', 'b'] }],
    ['CMD a b', { Cmd: ['/bin/sh', '-c', 'a b'] }],
    ['CMD', { Cmd: ['/bin/sh', '-c'] }],
    ['CMD []', { Cmd: [] }],
    ['CMD ["a"', { Cmd: ['/bin/sh', '-c', '["a"'] }],
    ["CMD ['a']", { Cmd: ['/bin/sh', '-c', "['a']"] }],
    ['CMD [ "a" , "b\\n" ]', { Cmd: ['a', 'b\n'] }],
    ["CMD echo 'a b' && c", { Cmd: ['/bin/sh', '-c', "echo 'a b' && c"] }],
    ['CMD a \\', { Cmd: ['/bin/sh', '-c', 'a'] }],
    ['CMD a \\\n  b', { Cmd: ['/bin/sh', '-c', 'a   b'] }],
    ['# escape=`\nCMD a `\n b', { Cmd: ['/bin/sh', '-c', 'a  b'] }],
    ['# syntax=foo\nCMD a', { Cmd: ['/bin/sh', '-c', 'a'] }],
    ['CMD a\nCMD b', { Cmd: ['/bin/sh', '-c', 'b'] }],
    ['cmd x', { Cmd: ['/bin/sh', '-c', 'x'] }],
    ['  CMD x', { Cmd: ['/bin/sh', '-c', 'x'] }],
    ['ENTRYPOINT ["x"]', { Entrypoint: ['x'] }],
    ['ENTRYPOINT foo bar', { Entrypoint: ['/bin/sh', '-c', 'foo bar'] }],
    ['ENTRYPOINT', { Entrypoint: null }],
    ['ENTRYPOINT []', { Entrypoint: null }],
    ['EXPOSE 80 90/udp 100-102', { ExposedPorts: ports('80/tcp', '90/udp', '100/tcp', '101/tcp', '102/tcp') }],
    ['EXPOSE 80/TCP', { ExposedPorts: ports('80/tcp') }],
    ['EXPOSE 8080:80', { ExposedPorts: ports('80/tcp') }],
    ['EXPOSE 127.0.0.1:80:80', { ExposedPorts: ports('80/tcp') }],
    ['EXPOSE $P', { ExposedPorts: {} }],
    ['ENV A=b C="d e"', { Env: ['A=b', 'C=d e'] }],
    ['ENV A b c', { Env: ['A=b c'] }],
    ['ENV abc  d  e', { Env: ['abc=d  e'] }],
    ['ENV A=b\nENV C=$A', { Env: ['A=b', 'C=b'] }],
    ['ENV A=b\nENV A=c', { Env: ['A=c'] }],
    ['ENV A=', { Env: ['A='] }],
    ['ENV -x=y', { Env: ['-x=y'] }],
    ['ENV A=\\$x B=${A:-z} C=${D:+q}', { Env: ['A=$x', 'B=z', 'C='] }],
    ['ENV A=1\nENV B=${A:+q}x${C:-d}y$A\'$A\'"$A"\\$A', { Env: ['A=1', 'B=qxdy1$A1$A'] }],
    ["ENV a=b   c='d $x'", { Env: ['a=b', 'c=d $x'] }],
    ['LABEL a=b', { Labels: { a: 'b' } }],
    ['LABEL "a b"="c d" e=f\\ g', { Labels: { 'a b': 'c d', e: 'f g' } }],
    ['LABEL a=b\nLABEL a=c d=e', { Labels: { a: 'c', d: 'e' } }],
    ['WORKDIR rel', { WorkingDir: '/rel' }],
    ['WORKDIR /a/../b/', { WorkingDir: '/b' }],
    ['WORKDIR $HOME/x', { WorkingDir: '/x' }],
    ['WORKDIR /a\nWORKDIR b', { WorkingDir: '/a/b' }],
    ['WORKDIR "/a b"', { WorkingDir: '/a b' }],
    ['VOLUME /x /y', { Volumes: ports('/x', '/y') }],
    ['VOLUME ["/x"]', { Volumes: ports('/x') }],
    ["VOLUME ['a']", { Volumes: ports('[a]') }],
    ['ONBUILD RUN foo', { OnBuild: ['RUN foo'] }],
    ['ONBUILD   RUN   x  y', { OnBuild: ['RUN   x  y'] }],
    ['ONBUILD nope', { OnBuild: ['nope'] }],
    ['USER a b', { User: 'a b' }],
    ['USER ""', { User: '' }],
    ['STOPSIGNAL SIGTERM', { StopSignal: 'SIGTERM' }],
    ['STOPSIGNAL 9', { StopSignal: '9' }],
    ['STOPSIGNAL RTMIN+3', { StopSignal: 'RTMIN+3' }],
    ['HEALTHCHECK --interval=0s --retries=0 CMD x', { Healthcheck: { Test: ['CMD-SHELL', 'x'] } }],
    ['HEALTHCHECK NONE', { Healthcheck: { Test: ['NONE'] } }],
    ['HEALTHCHECK --interval=1s NONE', { Healthcheck: { Test: ['NONE'] } }],
    ['HEALTHCHECK --interval=5s CMD x\nHEALTHCHECK CMD y', { Healthcheck: { Test: ['CMD-SHELL', 'y'] } }],
    ['HEALTHCHECK --interval=5s CMD x', { Healthcheck: { Test: ['CMD-SHELL', 'x'], Interval: 5e9 } }],
    [
      'HEALTHCHECK --interval=5s --retries=3 CMD ["x","y"]',
      { Healthcheck: { Test: ['CMD', 'x', 'y'], Interval: 5e9, Retries: 3 } },
    ],
    [
      'HEALTHCHECK --start-period=1m30s --timeout=1.5h CMD x',
      { Healthcheck: { Test: ['CMD-SHELL', 'x'], Timeout: 5400e9, StartPeriod: 90e9 } },
    ],
  ])('%s', (change, config) => {
    expect(applyChanges([change])).toEqual(config);
  });

  it('adds to what is there and leaves it unchanged', () => {
    const base = { Env: ['A=1'], Labels: { x: 'y' } };
    expect(applyChanges(['ENV B=$A', 'LABEL z=1'], base)).toEqual({ Env: ['A=1', 'B=1'], Labels: { x: 'y', z: '1' } });
    expect(base).toEqual({ Env: ['A=1'], Labels: { x: 'y' } });
    expect(applyChanges([])).toEqual({});
  });
});

describe('changes that dockerd refuses, in its words', () => {
  it.each([
    ['FOO bar', 'FOO is not a valid change command'],
    ['RUN x', 'RUN is not a valid change command'],
    ['SHELL ["a"]', 'SHELL is not a valid change command'],
    ['MAINTAINER x', 'MAINTAINER is not a valid change command'],
    ['', 'file with no instructions'],
    ['# comment', 'file with no instructions'],
    ['CMD ["a", 1]', 'when using JSON array syntax, arrays must be comprised of strings only'],
    ['CMD --foo=1 x', 'unknown flag: --foo'],
    ['EXPOSE --x y', 'unknown flag: --x'],
    ['EXPOSE', 'EXPOSE requires at least one argument'],
    ['EXPOSE x', 'invalid containerPort: x'],
    ['EXPOSE 70000', 'invalid containerPort: 70000'],
    ['EXPOSE 9-8', 'invalid containerPort: 9-8'],
    ['EXPOSE 80/foo', 'invalid proto: foo'],
    ['ENV A', 'ENV must have two arguments'],
    ['ENV =x', 'ENV names can not be blank'],
    ['ENV A=b C', 'Syntax error - can\'t find = in "C". Must be of the form: name=value'],
    ['ENV A=b # c', 'Syntax error - can\'t find = in "#". Must be of the form: name=value'],
    ['ENV A="b', 'failed to process "\\"b": unexpected end of statement while looking for matching double-quote'],
    ['ENV A=${x', 'failed to process "${x": syntax error: missing \'}\''],
    ['LABEL a', 'LABEL must have two arguments'],
    ['LABEL =x', 'LABEL names can not be blank'],
    ['WORKDIR', 'WORKDIR requires exactly one argument'],
    ['WORKDIR ""', 'cannot normalize nothing'],
    ['USER', 'USER requires exactly one argument'],
    ['VOLUME', 'VOLUME requires at least one argument'],
    ['VOLUME [""]', 'VOLUME specified can not be an empty string'],
    ['STOPSIGNAL SIGFOO', 'invalid signal: SIGFOO'],
    ['STOPSIGNAL 65', 'invalid signal: 65'],
    ['ONBUILD', 'ONBUILD requires at least one argument'],
    ['ONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
    ['ONBUILD MAINTAINER x', "MAINTAINER isn't allowed as an ONBUILD trigger"],
    ['ONBUILD ONBUILD CMD x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['HEALTHCHECK', 'HEALTHCHECK requires at least one argument'],
    ['HEALTHCHECK --interval=1s', 'HEALTHCHECK requires at least one argument'],
    ['HEALTHCHECK CMD', 'Missing command after HEALTHCHECK CMD'],
    ['HEALTHCHECK CMD []', 'Missing command after HEALTHCHECK CMD'],
    ['HEALTHCHECK FOO', 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
    ['HEALTHCHECK NONE x', 'HEALTHCHECK NONE takes no arguments'],
    ['HEALTHCHECK --foo=1 CMD x', 'unknown flag: --foo'],
    ['HEALTHCHECK --interval CMD x', 'missing a value on flag: --interval'],
    ['HEALTHCHECK --interval=x CMD a', 'time: invalid duration "x"'],
    ['HEALTHCHECK --interval=1us CMD x', 'Interval "interval" cannot be less than 1ms'],
    ['HEALTHCHECK --interval=-1s CMD x', 'Interval "interval" cannot be less than 1ms'],
    ['HEALTHCHECK --retries=x CMD x', 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['HEALTHCHECK --retries=-1 CMD x', '--retries cannot be negative (-1)'],
  ])('%s', (change, message) => {
    expect(() => applyChanges([change])).toThrow(expect.objectContaining({ kind: 'invalid-argument', message }));
  });

  it('ends with a configuration or a sentence for any text', () => {
    const keyword = fc.constantFrom(
      'CMD',
      'ENV',
      'LABEL',
      'EXPOSE',
      'VOLUME',
      'HEALTHCHECK',
      'ONBUILD',
      'USER',
      'WORKDIR',
    );
    fc.assert(
      fc.property(keyword, fc.string({ maxLength: 40 }), (word, rest) => {
        try {
          expect(applyChanges([`${word} ${rest}`])).toBeTypeOf('object');
        } catch (error) {
          expect(error).toMatchObject({ kind: 'invalid-argument' });
        }
      }),
    );
  });
});

function ports(...names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}
