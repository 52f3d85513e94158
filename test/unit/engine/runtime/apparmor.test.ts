import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAppArmor } from '../../../../src/engine/runtime/apparmor/index.ts';
import { grantRealtime } from '../../../../src/engine/runtime/realtime.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'apparmor-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

describe('AppArmor', () => {
  const loads: { argv: readonly string[]; stdin: string }[] = [];
  let answer = { code: 0, stderr: '' };
  const apparmor = (parserPath: string | null = '/sbin/apparmor_parser') => {
    const { processes } = new FakeKernel();
    const capture: typeof processes.capture = (command, input) => {
      loads.push({ argv: command.argv, stdin: input?.stdin ?? '' });
      return Promise.resolve({ ...answer, stdout: '', signal: null });
    };
    return createAppArmor({
      kernel: { processes: Object.assign(Object.create(processes) as typeof processes, { capture }) },
      parserPath,
      enabledPath: join(root, 'enabled'),
      loadedPath: join(root, 'profiles'),
      policyPath: root,
    });
  };
  beforeEach(() => {
    loads.length = 0;
    answer = { code: 0, stderr: '' };
  });

  it('is nothing where the kernel has none, or nothing to load profiles with', async () => {
    expect(apparmor().isSupported).toBe(false);
    expect(await apparmor().profileFor({ privileged: false, named: 'x' })).toBeNull();
    writeFileSync(join(root, 'enabled'), 'Y\n');
    expect(apparmor(null).isSupported).toBe(false);
  });

  it('loads the default profile when it is not there, and only then', async () => {
    writeFileSync(join(root, 'enabled'), 'Y\n');
    mkdirSync(join(root, 'abstractions'));
    writeFileSync(join(root, 'abstractions/base'), 'x');
    const plain = { privileged: false, named: null };
    expect(await apparmor().profileFor(plain)).toBe('docker-default');
    expect(loads[0]?.argv).toEqual(['/sbin/apparmor_parser', '-Kr']);
    expect(loads[0]?.stdin).toMatch(
      /^@\{PROC\}=\/proc\/\n\nprofile docker-default .*\n {2}#include <abstractions\/base>/,
    );
    writeFileSync(join(root, 'profiles'), 'other (enforce)\ndocker-default (enforce)\n');
    expect(await apparmor().profileFor(plain)).toBe('docker-default');
    expect(await apparmor().profileFor({ privileged: true, named: null })).toBe('unconfined');
    expect(await apparmor().profileFor({ privileged: true, named: 'own' })).toBe('own');
    expect(loads).toHaveLength(1);
  });

  it('that cannot be loaded stops the start', async () => {
    writeFileSync(join(root, 'enabled'), 'Y\n');
    answer = { code: 1, stderr: 'syntax\n' };
    await expect(apparmor().profileFor({ privileged: false, named: null })).rejects.toThrow(
      'AppArmor enabled on system but the docker-default profile could not be loaded: syntax',
    );
  });
});

describe('the share of real time of all containers', () => {
  const share = { periodUs: 1000, runtimeUs: 0 };
  const host = (version: '1' | '2') =>
    ({ version, layout: 'legacy', mountPoints: new Map([['cpu', root]]), unmounted: [] }) as const;

  it('is given to each group on the way', () => {
    grantRealtime(host('1'), { driver: 'cgroupfs', parent: '/a/b' }, share);
    expect(() => rmSync(join(root, 'a/b/cpu.rt_period_us'))).not.toThrow();
    expect(() => rmSync(join(root, 'a/cpu.rt_period_us'))).not.toThrow();
  });

  it('is refused where there is none', () => {
    const place = { driver: 'cgroupfs', parent: '/a' } as const;
    expect(() => grantRealtime(host('2'), place, share)).toThrow('not implemented for cgroup v2');
    expect(() => grantRealtime(host('1'), { ...place, driver: 'systemd' }, share)).toThrow(
      'not implemented for systemd',
    );
    expect(() => grantRealtime({ ...host('1'), mountPoints: new Map() }, place, share)).toThrow(
      'kernel does not support CPU real-time scheduler',
    );
    expect(() => grantRealtime(host('2'), place, { periodUs: 0, runtimeUs: 0 })).not.toThrow();
  });
});
