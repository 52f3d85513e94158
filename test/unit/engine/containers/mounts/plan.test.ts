import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NotFoundError } from '../../../../../src/base/errors.ts';
import { planMounts } from '../../../../../src/engine/containers/mounts/plan.ts';
import type { PlannedMount } from '../../../../../src/engine/containers/record.ts';
import type { HostOptions, MountRequest } from '../../../../../src/engine/containers/spec-types.ts';
import { exampleSpec } from '../../../../support/container-spec.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-mounts-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const nobody = (ref: string): never => {
  throw new NotFoundError(`No such container: ${ref}`);
};

function plan(
  host: Partial<HostOptions>,
  volumes: readonly string[] = [],
  lend: (ref: string) => readonly PlannedMount[] = nobody,
): readonly PlannedMount[] {
  return planMounts(exampleSpec({ volumes, host }), {
    mountsOfContainer: lend,
    imageIdOf: (ref) => `sha256:${ref}`,
    ownDirectory: '/var/lib/docker',
  });
}

function bind(source: string, target: string, change: object = {}): MountRequest {
  const plain = { readOnly: false, propagation: null, createSource: true, recursive: true, mode: '' };
  return { kind: 'bind', source, target, ...plain, ...change };
}

function volume(name: string | null, target: string, change: object = {}): MountRequest {
  const plain = { readOnly: false, noCopy: false, driver: null, labels: {}, options: {}, mode: 'z' };
  return { kind: 'volume', name, target, ...plain, ...change };
}

describe('planned mounts', () => {
  it('of binds have clean paths and private propagation', () => {
    const [mount] = plan({ mounts: [bind('/srv//a/../b/', '/data/./x/', { readOnly: true })] });
    expect(mount).toMatchObject({
      kind: 'bind',
      source: '/srv/b',
      destination: '/data/x',
      readOnly: true,
      propagation: 'rprivate',
      listed: true,
    });
  });

  it('of volumes have a driver and, without a name, one of their own that goes with the container', () => {
    const [named, anonymous] = plan({ mounts: [volume('data', '/a', { noCopy: true }), volume(null, '/b')] });
    expect(named).toMatchObject({ name: 'data', driver: 'local', anonymous: false, noCopy: true, mode: 'z' });
    expect(anonymous).toMatchObject({ driver: 'local', anonymous: true });
    expect(anonymous?.name).toMatch(/^[0-9a-f]{64}$/);
  });

  it('of --tmpfs have Docker’s defaults but where the opposite is asked, and are not listed', () => {
    expect(plan({ tmpfs: { '/a': '', '/b': 'exec,size=1m,ro' } })).toMatchObject([
      { kind: 'tmpfs', tmpfsOptions: ['noexec', 'nosuid', 'nodev'], listed: false, readOnly: false },
      { kind: 'tmpfs', tmpfsOptions: ['nosuid', 'nodev', 'exec', 'size=1m', 'ro'], listed: false, readOnly: true },
    ]);
  });

  it('of VOLUMEs are anonymous volumes, where nothing else covers the place', () => {
    const mounts = plan({ mounts: [bind('/srv', '/a')], tmpfs: { '/b': '' } }, ['/a/', '/b', '/c', '/c/']);
    expect(mounts.map(({ destination, kind, anonymous }) => [destination, kind, anonymous])).toEqual([
      ['/a', 'bind', false],
      ['/b', 'tmpfs', false],
      ['/c', 'volume', true],
    ]);
  });

  it('are lent by others but for tmpfs, read-only where asked, and overridden by its own', () => {
    const lent = plan({ mounts: [volume('one', '/a'), volume(null, '/b'), bind('/srv', '/c')], tmpfs: { '/t': '' } });
    const mounts = plan({ volumesFrom: ['lender:ro'], mounts: [bind('/own', '/c')] }, ['/b'], () => lent);
    expect(mounts.map(({ destination, source, name }) => [destination, name ?? source])).toEqual([
      ['/a', 'one'],
      ['/b', lent[1]?.name],
      ['/c', '/own'],
    ]);
    expect(mounts[1]).toMatchObject({ readOnly: true, anonymous: false, mode: '' });
    expect(mounts[2]).toMatchObject({ readOnly: false });
    const writable = plan({ volumesFrom: ['lender'] }, [], () => mounts);
    expect(writable[0]).toMatchObject({ readOnly: true, mode: '' });
  });

  it.each<[string, Partial<HostOptions>, string]>([
    ['two on one place', { mounts: [bind('/x', '/a'), volume('v', '/a/')] }, 'Duplicate mount point: /a'],
    ['a tmpfs on a mount', { mounts: [bind('/x', '/a')], tmpfs: { '/a': '' } }, 'Duplicate mount point: /a'],
    ['a relative target', { mounts: [bind('/x', 'a')] }, "invalid mount path: 'a' mount path must be absolute"],
    ['a relative source', { mounts: [bind('x', '/a')] }, "invalid mount path: 'x' mount path must be absolute"],
    ['the root', { mounts: [bind('/x', '/a/..')] }, "invalid specification: destination can't be '/'"],
    ['an unknown lender', { volumesFrom: ['nosuch'] }, 'No such container: nosuch'],
    ['no lender', { volumesFrom: [':ro'] }, 'volumes-from specification is empty'],
    ['a mode there is not', { volumesFrom: ['box:rx'] }, 'invalid mode: rx'],
  ])('are refused: %s', (_title, host, message) => {
    expect(() => plan(host)).toThrow(message);
  });

  it('need a source that is there, unless it may be made', () => {
    const missing = join(directory, 'missing');
    expect(() => plan({ mounts: [bind(missing, '/a', { createSource: false })] })).toThrow(
      `invalid mount config for type "bind": bind source path does not exist: ${missing}`,
    );
    expect(plan({ mounts: [bind(directory, '/a', { createSource: false })] })).toHaveLength(1);
  });
});
