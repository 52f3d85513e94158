/** The parts of a RUN that are decided without running anything. */
import { describe, expect, it } from 'vitest';
import { checkEntitlements } from '../../../../../src/engine/build/run/entitlements.ts';
import { secretParts, type SecretMount } from '../../../../../src/engine/build/run/secret-mounts.ts';
import { specOf } from '../../../../../src/engine/build/run/spec.ts';
import type { RunRequest } from '../../../../../src/engine/build/run/types.ts';
import type { ImageId } from '../../../../../src/engine/oci/digest.ts';
import { exampleSpec } from '../../../../support/container-spec.ts';

const { resources } = exampleSpec().host;
const LIMITS: RunRequest['limits'] = {
  resources,
  ulimits: [],
  shmSizeBytes: null,
  cgroupParent: '',
  extraHosts: [],
  network: null,
  securityOptions: [],
};

function requestOf(change: Partial<RunRequest> = {}): RunRequest {
  return {
    image: 'sha256:1' as ImageId,
    config: {},
    command: ['true'],
    extraEnv: [],
    mounts: [],
    network: 'default',
    security: 'sandbox',
    platform: null,
    limits: LIMITS,
    secrets: new Map(),
    sshAgents: new Map(),
    sourceDateEpoch: null,
    draftPath: '/draft',
    output: { write: () => undefined },
    onCreated: () => undefined,
    signal: new AbortController().signal,
    ...change,
  };
}

describe('the container of a RUN', () => {
  it('has no log, no check, no volumes, no entrypoint, and no label that asks for anything', () => {
    const config = {
      Entrypoint: ['/entry'],
      Cmd: ['serve'],
      Volumes: { '/data': {} },
      Labels: { 'org.moored.secret.x': '' },
      User: 'app',
      WorkingDir: '/srv',
    };
    expect(specOf(requestOf({ config }), [])).toMatchObject({
      entrypoint: null,
      command: ['true'],
      volumes: [],
      labels: {},
      user: 'app',
      workingDirectory: '/srv',
      healthcheck: { Test: ['NONE'] },
      host: { logDriver: 'none', network: { kind: 'network', name: 'bridge' }, privileged: false },
    });
  });

  it('sees values of ARG where no ENV has the name', () => {
    const { env } = specOf(requestOf({ config: { Env: ['A=env', 'B=b'] }, extraEnv: ['A=arg', 'C=c'] }), []);
    expect(env).toEqual(['A=env', 'B=b', 'C=c']);
  });

  it.each([
    ['none', { kind: 'host' } as const, { kind: 'none' }],
    ['default', { kind: 'network', name: 'mine' } as const, { kind: 'network', name: 'mine' }],
    ['host', null, { kind: 'host' }],
  ] as const)('is on the network that RUN asks for (%s), else on the build’s', (network, ofBuild, expected) => {
    const { host } = specOf(requestOf({ network, limits: { ...LIMITS, network: ofBuild } }), []);
    expect(host.network).toEqual(expected);
  });
});

describe('what a Dockerfile may ask for', () => {
  const withOptions = (...securityOptions: readonly string[]): RunRequest['limits'] => ({ ...LIMITS, securityOptions });

  it('is the ordinary alone, unless whoever builds allows more', () => {
    expect(() => checkEntitlements(requestOf())).not.toThrow();
    expect(() => checkEntitlements(requestOf({ network: 'host' }))).toThrow(
      'network.host is not allowed: build with "--security-opt network.host" to allow it, or "--network host" for all',
    );
    expect(() => checkEntitlements(requestOf({ security: 'insecure', limits: withOptions('network.host') }))).toThrow(
      'security.insecure is not allowed',
    );
  });

  it('is allowed by name, and a network by that of the whole build', () => {
    const wanted = { network: 'host', security: 'insecure' } as const;
    const limits = withOptions('network.host', 'security.insecure');
    expect(() => checkEntitlements(requestOf({ ...wanted, limits }))).not.toThrow();
    const onHost = { ...LIMITS, network: { kind: 'host' } as const };
    expect(() => checkEntitlements(requestOf({ network: 'host', limits: onHost }))).not.toThrow();
  });
});

describe('secrets of a RUN', () => {
  const engines = (isForBuilds: boolean): Parameters<typeof secretParts>[1]['own'] => ({
    has: (name) => name === 'own',
    open: () => Buffer.from('of the engine'),
    isForBuilds: () => isForBuilds,
  });
  const own = engines(true);
  const given = new Map([['own', Buffer.from('of the request')]]);
  const mountOf = (change: Partial<SecretMount>): SecretMount => {
    const plain = { target: '/run/secrets/own', env: null, required: false, mode: 0o400, uid: 0, gid: 0 } as const;
    return { kind: 'secret', id: 'own', ...plain, ...change };
  };

  it('are the request’s before the engine’s', () => {
    const both = secretParts(mountOf({}), { given, own });
    expect(both.secrets).toMatchObject([{ node: { content: Buffer.from('of the request'), mode: 0o400 } }]);
    const parts = secretParts(mountOf({ target: null, env: 'PW' }), { given: new Map(), own });
    expect(parts).toEqual({ env: ['PW=of the engine'], secrets: [] });
  });

  it('are left out where they are missing and not required', () => {
    expect(secretParts(mountOf({ id: 'nosuch' }), { given, own })).toEqual({ env: [], secrets: [] });
    expect(() => secretParts(mountOf({ id: 'nosuch', required: true }), { given, own })).toThrow(
      'secret nosuch: not found',
    );
  });

  it('are the engine’s only where the request names them, or they say so themselves', () => {
    const mount = mountOf({ target: null, env: 'PW' });
    const nothing = { env: [], secrets: [] };
    expect(secretParts(mount, { given: new Map(), own: engines(false) })).toEqual(nothing);
    expect(secretParts(mount, { given: new Map([['other', null]]), own: engines(false) })).toEqual(nothing);
    expect(() => secretParts({ ...mount, required: true }, { given: new Map(), own: engines(false) })).toThrow(
      'secret own: not allowed: name it in the request, or give it the label org.moored.build-secret=on',
    );
    expect(secretParts(mount, { given: new Map([['own', null]]), own: engines(false) }).env).toEqual([
      'PW=of the engine',
    ]);
    const typo = { given: new Map([['owm', null]]), own: engines(true) };
    expect(() => secretParts(mountOf({ id: 'owm' }), typo)).toThrow('secret owm: not found');
  });

  it('are no variables where they hold a zero byte', () => {
    const binary = new Map([['own', Buffer.from([65, 0])]]);
    expect(() => secretParts(mountOf({ env: 'PW' }), { given: binary, own })).toThrow('cannot hold a zero byte');
  });
});
