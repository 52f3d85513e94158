import { describe, expect, it } from 'vitest';
import { parseDockerfile } from '../../../../../src/engine/dockerfile/parse.ts';
import type { RunMount } from '../../../../../src/engine/dockerfile/types.ts';

function mounts(flags: string): readonly RunMount[] {
  const [run] = parseDockerfile(`FROM a\nRUN ${flags} x`, 'Dockerfile').stages[0]?.instructions ?? [];
  const expanded = run?.expand(new Map([['D', '/data']]));
  return expanded?.kind === 'run' ? expanded.mounts : [];
}

const NOBODY = { uid: 0, gid: 0 };

describe('RUN --mount', () => {
  it.each<[string, object]>([
    ['--mount=target=$D', { kind: 'bind', from: null, source: '', target: '/data', readWrite: false }],
    [
      '--mount=type=bind,from=b,src=s,dst=/d,rw',
      { kind: 'bind', from: 'b', source: 's', target: '/d', readWrite: true },
    ],
    [
      '--mount=type=bind,target=/d,readonly=false',
      { kind: 'bind', from: null, source: '', target: '/d', readWrite: true },
    ],
    [
      '--mount=type=bind,"source=a b",target=/d',
      { kind: 'bind', from: null, source: 'a b', target: '/d', readWrite: false },
    ],
    ['--mount=type=tmpfs,target=/t,size=1m', { kind: 'tmpfs', target: '/t', sizeBytes: 1024 * 1024 }],
    ['--mount=TYPE=Tmpfs,target=/t', { kind: 'tmpfs', target: '/t', sizeBytes: null }],
    [
      '--mount=type=cache,target=/c/../d',
      {
        kind: 'cache',
        id: '/d',
        from: null,
        source: '',
        target: '/c/../d',
        readOnly: false,
        sharing: 'shared',
        mode: 0o755,
        ...NOBODY,
      },
    ],
    [
      '--mount=type=cache,id=i,target=/c,ro,sharing=locked,mode=0700,uid=1,gid=2,from=f,source=/s',
      {
        kind: 'cache',
        id: 'i',
        from: 'f',
        source: '/s',
        target: '/c',
        readOnly: true,
        sharing: 'locked',
        mode: 0o700,
        uid: 1,
        gid: 2,
      },
    ],
    [
      '--mount=type=secret,id=s',
      { kind: 'secret', id: 's', target: '/run/secrets/s', env: null, required: false, mode: 0o400, ...NOBODY },
    ],
    [
      '--mount=type=secret,id=s,env=S,required',
      { kind: 'secret', id: 's', target: null, env: 'S', required: true, mode: 0o400, ...NOBODY },
    ],
    [
      '--mount=type=secret,target=/a/b,mode=0444,uid=5',
      { kind: 'secret', id: 'b', target: '/a/b', env: null, required: false, mode: 0o444, uid: 5, gid: 0 },
    ],
    [
      '--mount=type=ssh,required=true',
      {
        kind: 'ssh',
        id: 'default',
        target: '/run/buildkit/ssh_agent.0',
        env: null,
        required: true,
        mode: 0o600,
        ...NOBODY,
      },
    ],
  ])('%s', (flags, expected) => {
    expect(mounts(flags)).toEqual([expected]);
  });

  it('gives each agent a place of its own', () => {
    expect(mounts('--mount=type=ssh --mount=type=ssh,id=b')).toMatchObject([
      { target: '/run/buildkit/ssh_agent.0' },
      { id: 'b', target: '/run/buildkit/ssh_agent.1' },
    ]);
  });

  it.each([
    ['type=x', 'unsupported mount type "x"'],
    ['type=cach', 'unsupported mount type "cach" (did you mean cache?)'],
    ['type=cache,sharing=x', 'unsupported sharing value "x"'],
    ['target', "invalid field 'target' must be a key=value pair"],
    ['tarket=/x', "unexpected key 'tarket' in 'tarket=/x' (did you mean target?)"],
    ['type=bind,required', "unexpected key 'required' for mount type 'bind'"],
    ['type=bind,size=1', "unexpected key 'size' for mount type 'bind'"],
    ['type=tmpfs,size=x', 'invalid value for size: x'],
    ['ro=maybe', 'invalid value for ro: maybe'],
    ['type=cache,mode=9', 'invalid value 9 for mode'],
    ['type=cache,uid=-1', 'invalid value -1 for uid'],
    ['type=cache,gid=4294967296', 'invalid value 4294967296 for gid'],
    ['type=bind,uid=1', 'uid not allowed for "bind" type mounts'],
    ['type=tmpfs,mode=1', 'mode not allowed for "tmpfs" type mounts'],
    ['type=secret', 'invalid secret mount. one of source, target required'],
    ['type=secret,id=a,from=b', 'secret mount should not have a from'],
    ['type=secret,id=a,source=b', "both source and id can't be set"],
    ['type=secret,id=a,sharing=shared', 'secret mount should not define sharing'],
    ['type=ssh,sharing=shared', 'invalid cache sharing set for ssh mount'],
    ['type=cache,target=/', 'invalid mount target "/"'],
    ['from=$D,target=/x', "'from' doesn't support variable expansion, define alias stage instead"],
    ['a\\"b', 'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted-field'],
    ['\\"ab', 'failed to parse csv mounts: parse error on line 1, column 4: extraneous or missing " in quoted-field'],
  ])('refuses %s', (mount, message) => {
    expect(() => mounts(`--mount=${mount}`)).toThrow(`${message} [Dockerfile:2]`);
  });
});
