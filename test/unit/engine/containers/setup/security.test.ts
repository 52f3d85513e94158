import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { securityWishesOf } from '../../../../../src/engine/containers/setup/security.ts';
import { checkSysctls } from '../../../../../src/engine/containers/spec/sysctls.ts';

describe('security options', () => {
  it('are words, pairs, and pairs of the older form; the last word counts', () => {
    expect(securityWishesOf([])).toEqual({
      apparmorProfile: null,
      noNewPrivileges: null,
      writableCgroups: null,
      labels: [],
    });
    expect(
      securityWishesOf([
        ...['apparmor:x', 'apparmor=a', 'no-new-privileges', 'no-new-privileges:false', 'writable-cgroups'],
        ...['label=type:x', 'label:level:s0', 'disable', 'seccomp={"a":"b=c"}'],
      ]),
    ).toEqual({
      apparmorProfile: 'a',
      noNewPrivileges: false,
      writableCgroups: true,
      labels: ['type:x', 'level:s0', 'disable'],
    });
  });

  it.each([
    ['nope', 'invalid --security-opt 1: "nope"'],
    ['nope=1', 'invalid --security-opt 2: "nope=1"'],
    ['no-new-privileges=x', 'invalid --security-opt 2: "no-new-privileges=x"'],
    ['writable-cgroups=x', 'invalid --security-opt 2: "writable-cgroups=x"'],
  ])('%s is none', (option, message) => {
    expect(() => securityWishesOf([option])).toThrow(new InvalidArgumentError(message));
  });
});

describe('kernel parameters', () => {
  const own = { network: true, ipc: true, uts: true };
  it.each([
    'net.ipv4.ip_forward',
    'net/ipv4/conf/eth0.1/forwarding',
    'kernel.shmmax',
    'fs.mqueue.msg_max',
    'kernel.domainname',
  ])('%s may be set in namespaces of its own', (name) => {
    expect(() => checkSysctls({ [name]: '1' }, own)).not.toThrow();
  });

  it.each([
    ['net.x', { ...own, network: false }, 'sysctl "net.x" not allowed in host network namespace'],
    ['kernel.sem', { ...own, ipc: false }, 'sysctl "kernel.sem" is not allowed in the hosts ipc namespace'],
    ['fs/mqueue/x', { ...own, ipc: false }, 'sysctl "fs.mqueue.x" is not allowed in the hosts ipc namespace'],
    ['kernel.hostname', own, 'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field'],
    ['kernel.domainname', { ...own, uts: false }, 'sysctl "kernel.domainname" is not in a separate kernel namespace'],
    ['vm.swappiness', own, 'sysctl "vm.swappiness" is not in a separate kernel namespace'],
  ])('%s is refused with %j', (name, namespaces, message) => {
    expect(() => checkSysctls({ [name]: '1' }, namespaces)).toThrow(
      `OCI runtime create failed: runc create failed: ${message}`,
    );
  });
});
