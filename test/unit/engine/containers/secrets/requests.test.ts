import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { secretRequestsOf, wantsHostCredentials } from '../../../../../src/engine/containers/secrets/requests.ts';

const of = (name: string, value: string) => secretRequestsOf({ [`org.moored.secret.${name}`]: value });

describe('labels that ask for secrets', () => {
  it.each([
    ['db', '', { name: 'db', target: '/run/secrets/db', uid: 0, gid: 0, mode: 0o444 }],
    ['db.pw', 'target=x/y', { name: 'db.pw', target: '/run/secrets/x/y', uid: 0, gid: 0, mode: 0o444 }],
    [
      'db',
      'target=/etc/db.conf,uid=1000,gid=4294967294,mode=0400',
      { name: 'db', target: '/etc/db.conf', uid: 1000, gid: 4294967294, mode: 0o400 },
    ],
    ['db', 'mode=640,', { name: 'db', target: '/run/secrets/db', uid: 0, gid: 0, mode: 0o640 }],
  ])('%s=%s', (name, value, wanted) => {
    expect(of(name, value)).toEqual([wanted]);
  });

  it.each([
    ['', '', 'it names no secret'],
    ['x', 'target', "invalid field 'target' must be a key=value pair"],
    ['x', 'owner=1', "invalid field 'owner' in secret request"],
    ['x', 'target=', "invalid target ''"],
    ['x', 'target=/', "invalid target '/'"],
    ['x', 'target=../../etc/passwd', "invalid target '../../etc/passwd'"],
    ['x', 'target=/run/secrets', "invalid target '/run/secrets'"],
    ['x', 'target=a\0b', "invalid target 'a\0b'"],
    ['x', 'target=dir/', "invalid target 'dir/'"],
    ['x', 'uid=root', "invalid uid 'root'"],
    ['x', 'gid=-1', "invalid gid '-1'"],
    ['x', 'uid=4294967295', "invalid uid '4294967295'"],
    ['x', 'mode=888', "invalid mode specified: '888'"],
    ['x', 'mode=', "invalid mode specified: ''"],
  ])('refuses %j=%j', (name, value, reason) => {
    expect(() => of(name, value)).toThrow(
      new InvalidArgumentError(`invalid label org.moored.secret.${name}: ${reason}`),
    );
  });

  it('refuses two secrets in one place', () => {
    const labels = { 'org.moored.secret.a': 'target=x', 'org.moored.secret.b': 'target=/run/secrets/x' };
    expect(() => secretRequestsOf(labels)).toThrow('Duplicate mount point: /run/secrets/x');
  });

  it('passes over what SUSE’s Docker leaves of what it injects', () => {
    expect(of(`suse_${'a'.repeat(64)}_/run/secrets/SUSEConnect`, '')).toEqual([]);
    expect(of('suse_manager', '')).toHaveLength(1);
  });

  it.each(['off', 'no', 'false', '0', 'OFF'])('keeps the host’s credentials out: %s', (value) => {
    expect(wantsHostCredentials({ 'org.moored.suse-secrets': value })).toBe(false);
  });

  it('lets them in otherwise', () => {
    expect([{}, { 'org.moored.suse-secrets': 'on' }].map(wantsHostCredentials)).toEqual([true, true]);
  });
});
