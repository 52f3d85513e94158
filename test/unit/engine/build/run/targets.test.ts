import { expect, it } from 'vitest';
import { inside } from '../../../../../src/engine/build/run/targets.ts';

const tmpfs = (target: string) => ({ kind: 'tmpfs', target, sizeBytes: null }) as const;
const bind = (target: string) => ({ kind: 'bind', from: null, source: '', target, readWrite: false }) as const;

it('finds the place of a mount', () => {
  expect(inside(tmpfs('a/../b'), '/srv')).toMatchObject({ target: '/srv/b' });
  expect(inside(tmpfs('/sys/fs'), '/srv')).toMatchObject({ target: '/sys/fs' });
  expect(inside(tmpfs('/dev'), '/')).toMatchObject({ target: '/dev' });
  expect(inside(bind('/dev/x'), '/')).toMatchObject({ target: '/dev/x' });
  expect(inside(bind('/process'), '/')).toMatchObject({ target: '/process' });
});

it.each([
  [tmpfs('..'), '/srv', 'invalid mount target "/"'],
  [tmpfs('/proc/'), '/', '"/proc" cannot be mounted because it is not of type proc'],
  [bind('self/x'), '/proc', '"/proc/self/x" cannot be mounted because it is inside /proc'],
  [bind('/dev'), '/', '"/dev" cannot be mounted over the devices of the container'],
])('refuses %j in %s', (mount, directory, message) => {
  expect(() => inside(mount, directory)).toThrow(message);
});
