import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LinuxSeccomp } from '../../../../src/engine/oci/runtime-spec.ts';
import { DEFAULT_PROFILE } from '../../../../src/engine/runtime/seccomp/default-profile.ts';
import { createSeccomp } from '../../../../src/engine/runtime/seccomp/index.ts';
import type { SeccompRequest } from '../../../../src/engine/runtime/seccomp.ts';
import { parseProfile, resolve, type SeccompSubject } from '../../../../src/engine/runtime/seccomp/profile.ts';

const PLAIN: SeccompSubject = { arch: 'amd64', kernelRelease: '6.1.0-13-amd64', capabilities: [] };

function allowed(seccomp: LinuxSeccomp | null, name: string): boolean {
  return (seccomp?.syscalls ?? []).some(
    (rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.args === undefined && rule.names.includes(name),
  );
}

describe('the default profile', () => {
  it('refuses by default, and knows the machine', () => {
    expect(resolve(DEFAULT_PROFILE, PLAIN)).toMatchObject({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 1,
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    });
    expect(resolve(DEFAULT_PROFILE, { ...PLAIN, arch: 'arm64' })?.architectures).toEqual([
      'SCMP_ARCH_AARCH64',
      'SCMP_ARCH_ARM',
    ]);
  });

  it('allows what needs a capability only with it', () => {
    const plain = resolve(DEFAULT_PROFILE, PLAIN);
    for (const name of [
      'mount',
      'unshare',
      'bpf',
      'reboot',
      'init_module',
      'keyctl',
      'kexec_load',
      'chroot',
      'syslog',
    ]) {
      expect(allowed(plain, name)).toBe(false);
    }
    for (const name of ['read', 'openat2', 'execve', 'futex', 'setuid', 'ptrace', 'arch_prctl']) {
      expect(allowed(plain, name)).toBe(true);
    }
    expect(allowed(resolve(DEFAULT_PROFILE, { ...PLAIN, capabilities: ['CAP_SYS_ADMIN'] }), 'mount')).toBe(true);
    expect(allowed(resolve(DEFAULT_PROFILE, { ...PLAIN, capabilities: ['CAP_SYS_CHROOT'] }), 'chroot')).toBe(true);
  });

  it('keeps new namespaces, and clone3 that hides them, from unprivileged containers', () => {
    const rules = (capabilities: readonly string[]): readonly string[] =>
      (resolve(DEFAULT_PROFILE, { ...PLAIN, capabilities })?.syscalls ?? [])
        .filter(({ names }) => names.includes('clone') || names.includes('clone3'))
        .map(({ action, args }) => `${action}${args === undefined ? '' : ' masked'}`);
    expect(rules([])).toEqual(['SCMP_ACT_ALLOW masked', 'SCMP_ACT_ERRNO']);
    expect(rules(['CAP_SYS_ADMIN'])).toEqual(['SCMP_ACT_ALLOW']);
  });

  it('looks at the machine and the kernel', () => {
    expect(allowed(resolve(DEFAULT_PROFILE, { ...PLAIN, arch: 'arm64' }), 'arch_prctl')).toBe(false);
    expect(allowed(resolve(DEFAULT_PROFILE, { ...PLAIN, kernelRelease: '4.7.9' }), 'ptrace')).toBe(false);
    expect(allowed(resolve(DEFAULT_PROFILE, { ...PLAIN, kernelRelease: '4.12-rc1' }), 'ptrace')).toBe(true);
  });
});

describe('profiles of users', () => {
  it('are refused in Docker’s words', () => {
    expect(() => parseProfile('{')).toThrow(/^Decoding seccomp profile failed: /);
    expect(() => parseProfile('[]')).toThrow(/^Decoding seccomp profile failed: /);
    const twice = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ name: 'a', names: ['b'], action: 'SCMP_ACT_KILL' }] };
    expect(() => resolve(twice, PLAIN)).toThrow("both 'name' and 'names' are specified in the seccomp profile");
    const both = { ...twice, syscalls: [], architectures: ['x'], archMap: [{ architecture: 'y' }] };
    expect(() => resolve(both, PLAIN)).toThrow("both 'architectures' and 'archMap' are specified");
  });

  it('restrict nothing without a default action', () => {
    expect(resolve({ syscalls: [] }, PLAIN)).toBeNull();
  });

  it('may use the old form of one name a rule', () => {
    const profile = parseProfile(
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO"}]}',
    );
    expect(resolve(profile, PLAIN)?.syscalls).toEqual([{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }]);
  });
});

describe('the decision for a container', () => {
  let directory: string;
  let compiled = 0;
  const request: SeccompRequest = {
    privileged: false,
    capabilities: ['CAP_KILL'],
    securityOptions: ['apparmor=unconfined'],
    runtime: { acceptsCompiledSeccomp: true },
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'seccomp-'));
    compiled = 0;
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function service(defaultProfile: string | null = null) {
    const compile = (): Buffer => {
      compiled += 1;
      return Buffer.alloc(16, compiled);
    };
    return createSeccomp({ kernel: { seccomp: { compile } }, cachePath: join(directory, 'cache'), defaultProfile });
  }

  it('compiles once for a profile and set of capabilities, across restarts', () => {
    const first = service();
    const decision = first.seccompFor(request);
    expect(decision).toEqual({
      seccomp: null,
      annotations: { 'run.oci.seccomp_bpf_data': Buffer.alloc(16, 1).toString('base64') },
    });
    expect(first.seccompFor({ ...request, capabilities: [...request.capabilities] })).toBe(decision);
    expect(service().seccompFor(request)).toEqual(decision);
    expect(compiled).toBe(1);
    first.seccompFor({ ...request, capabilities: ['CAP_SYS_ADMIN'] });
    expect(compiled).toBe(2);
    expect(readdirSync(join(directory, 'cache'))).toHaveLength(2);
  });

  it('hands JSON to runtimes that do not compile, and to all where flags or listeners are asked for', () => {
    const plain = service().seccompFor({ ...request, runtime: { acceptsCompiledSeccomp: false } });
    expect(plain).toMatchObject({ seccomp: { defaultAction: 'SCMP_ACT_ERRNO' }, annotations: {} });
    const flagged = '{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}';
    const decision = service().seccompFor({ ...request, securityOptions: [`seccomp=${flagged}`] });
    expect(decision).toMatchObject({ seccomp: { flags: ['SECCOMP_FILTER_FLAG_LOG'] }, annotations: {} });
    expect(compiled).toBe(0);
  });

  it('leaves privileged containers alone unless they name a profile', () => {
    const nothing = { seccomp: null, annotations: {} };
    expect(service().seccompFor({ ...request, privileged: true })).toEqual(nothing);
    expect(service().seccompFor({ ...request, securityOptions: ['seccomp=unconfined'] })).toEqual(nothing);
    expect(service().seccompFor({ ...request, securityOptions: ['seccomp:unconfined'] })).toEqual(nothing);
    expect(service('unconfined').seccompFor(request)).toEqual(nothing);
    const named = service('unconfined').seccompFor({
      ...request,
      privileged: true,
      securityOptions: ['seccomp=builtin'],
    });
    expect(named.annotations).not.toEqual({});
    expect(() => service().seccompFor({ ...request, securityOptions: ['seccomp={'] })).toThrow(/^Decoding/);
  });
});
