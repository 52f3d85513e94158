import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import type { ContainersOptions } from '../../../../src/engine/containers/options.ts';
import type { HostOptions } from '../../../../src/engine/containers/spec-types.ts';
import { validateSpec } from '../../../../src/engine/containers/validation.ts';
import { exampleOptions } from '../../../support/containers-fixture.ts';
import { exampleSpec, type SpecChange } from '../../../support/container-spec.ts';

const OPTIONS = exampleOptions('/nonexistent');

const host = (change: Partial<HostOptions>): SpecChange => ({ host: change });
const check = (change: SpecChange, options: Partial<ContainersOptions> = {}): void =>
  validateSpec(exampleSpec(change), { ...OPTIONS, ...options });
const shared = (change: Partial<HostOptions>): SpecChange =>
  host({ network: { kind: 'container', ref: 'other' }, ...change });
const port = { container: { port: 80, protocol: 'tcp' }, hostIp: '', hostPortStart: 0, hostPortEnd: 0 } as const;

describe('a request', () => {
  it.each<[string, SpecChange]>([
    ['plain', {}],
    [
      'security options',
      host({ securityOptions: ['no-new-privileges', 'seccomp=unconfined', 'label:disable', 'apparmor=x'] }),
    ],
    [
      'limits',
      host({
        ulimits: [
          { name: 'nofile', soft: 1, hard: 2 },
          { name: 'core', soft: -1, hard: -1 },
        ],
      }),
    ],
    ['retries', host({ restartPolicy: { name: 'on-failure', maximumRetryCount: 3 } })],
    ['extra hosts', host({ extraHosts: ['a:192.0.2.1', 'b:host-gateway'] })],
  ])('%s is good', (_title, change) => {
    expect(() => check(change)).not.toThrow();
  });

  it.each<[SpecChange, string]>([
    [{ workingDirectory: 'a' }, "the working directory 'a' is invalid, it needs to be an absolute path"],
    [{ env: [''] }, 'invalid environment variable: '],
    [{ env: ['=x'] }, 'invalid environment variable: =x'],
    [{ stopSignal: 'NOPE' }, 'invalid signal: NOPE'],
    [{ hostname: 'x'.repeat(65) }, 'invalid hostname format: '],
    [
      host({ restartPolicy: { name: 'always', maximumRetryCount: 1 } }),
      "invalid restart policy: maximum retry count can only be used with 'on-failure'",
    ],
    [
      host({ restartPolicy: { name: 'no', maximumRetryCount: -1 } }),
      "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative",
    ],
    [
      host({ restartPolicy: { name: 'on-failure', maximumRetryCount: -1 } }),
      'invalid restart policy: maximum retry count cannot be negative',
    ],
    [
      host({ autoRemove: true, restartPolicy: { name: 'always', maximumRetryCount: 0 } }),
      "can't create 'AutoRemove' container with restart policy",
    ],
    [{ hostname: 'a', host: { utsMode: { kind: 'host' } } }, 'conflicting options: hostname and the UTS mode'],
    [{ hostname: 'a', ...shared({}) }, 'conflicting options: hostname and the network mode'],
    [shared({ dns: ['192.0.2.1'] }), 'conflicting options: dns and the network mode'],
    [shared({ extraHosts: ['a:192.0.2.1'] }), 'conflicting options: custom host-to-IP mapping and the network mode'],
    [shared({ publishAllPorts: true }), 'conflicting options: port publishing and the container type network mode'],
    [shared({ portBindings: [port] }), 'conflicting options: port publishing and the container type network mode'],
    [host({ extraHosts: ['a'] }), 'bad format for add-host: "a"'],
    [host({ extraHosts: ['a:zz'] }), 'invalid IP address in add-host: "zz"'],
    [
      host({ network: { kind: 'host' }, links: [{ ref: 'a', alias: 'b' }] }),
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    ],
    [
      shared({ links: [{ ref: 'a', alias: 'b' }] }),
      "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    ],
    [{ macAddress: '02:00:00:00:00:01', ...shared({}) }, 'conflicting options: mac-address and the network mode'],
    [
      { exposedPorts: [{ port: 80, protocol: 'tcp' }], ...shared({}) },
      'conflicting options: port exposing and the container type network mode',
    ],
    [host({ annotations: { '': 'x' } }), 'invalid Annotations: the empty string is not permitted as an annotation key'],
    [host({ securityOptions: ['writable-cgroups=maybe'] }), 'invalid --security-opt 2: "writable-cgroups=maybe"'],
    [host({ ulimits: [{ name: 'nope', soft: 1, hard: 1 }] }), 'invalid ulimit type: nope'],
    [
      host({ ulimits: [{ name: 'nofile', soft: 2, hard: 1 }] }),
      'ulimit soft limit must be less than or equal to hard limit: 2 > 1',
    ],
    [host({ shmSizeBytes: -1 }), 'SHM size can not be less than 0'],
    [host({ oomScoreAdj: 1001 }), 'Invalid value 1001, range for oom score adj is [-1000, 1000]'],
    [host({ securityOptions: ['nope'] }), 'invalid --security-opt 1: "nope"'],
    [host({ securityOptions: ['nope=x'] }), 'invalid --security-opt 2: "nope=x"'],
    [host({ securityOptions: ['no-new-privileges=maybe'] }), 'invalid --security-opt 2: "no-new-privileges=maybe"'],
  ])('%j is refused', (change, message) => {
    expect(() => check(change)).toThrow(InvalidArgumentError);
    expect(() => check(change)).toThrow(message);
  });
});
