import { describe, expect, it } from 'vitest';
import { dataRootAdvice } from '../../../../src/engine/storage/btrfs/data-root.ts';

const line = (root: string, point: string): string =>
  `30 1 0:26 ${root} ${point} rw,relatime shared:1 - btrfs /dev/sda2 rw`;
const SNAPPER_ROOT = line('/@/.snapshots/42/snapshot', '/');

describe('advice on a data root on Btrfs', () => {
  const advice = (isSubvolume: boolean, ...mounts: readonly string[]): string | null =>
    dataRootAdvice({ path: '/var/lib/docker', isSubvolume, mountinfo: `${mounts.join('\n')}\n` });

  it('warns of a plain directory', () => {
    expect(advice(false, SNAPPER_ROOT)).toMatch(
      /^\/var\/lib\/docker is a directory and not a Btrfs subvolume of its own: /,
    );
    expect(advice(false, line('/@docker', '/srv'))).toContain('a rollback takes the state of the engine back');
  });

  it('warns of a subvolume that a rollback leaves behind', () => {
    expect(advice(true, SNAPPER_ROOT)).toContain(
      '(/@/.snapshots/42/snapshot): after a rollback of the system it is left',
    );
    expect(advice(true, SNAPPER_ROOT, line('/@/var/lib', '/var/library'))).toContain('mksubvolume');
  });

  it('is silent where rollbacks do not reach', () => {
    expect(advice(true, SNAPPER_ROOT, line('/@/var/lib/docker', '/var/lib/docker'))).toBeNull();
    expect(advice(true, SNAPPER_ROOT, line('/@/var', '/var'))).toBeNull();
    expect(advice(true, line('/', '/'))).toBeNull();
    expect(advice(true, '')).toBeNull();
  });

  it('goes by the mount that covers others at its place', () => {
    expect(advice(true, line('/@/var', '/var'), line('/@/.snapshots/7/snapshot', '/var'))).toContain('/.snapshots/7/');
  });
});
