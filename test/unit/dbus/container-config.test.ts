import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../src/base/errors.ts';
import { createDocuments } from '../../../src/api/documents.ts';
import { decodeContainerConfig } from '../../../src/dbus/words/container-config.ts';
import { detailsOfContainer, detailsOfSpec } from '../../../src/dbus/words/container-details.ts';
import type { Dictionary } from '../../../src/dbus/bus/dictionary.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import type { CreateOrder } from '../../../src/dbus/words/rest-words.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeEngine } from '../../support/fake-engine.ts';

const clock = new FakeClock();
const documents = createDocuments({
  engine: new FakeEngine(clock),
  clock,
  build: { version: '1', gitCommit: '', buildTime: '' },
});

function order(dictionary: Dictionary): CreateOrder {
  const { document, platform } = decodeContainerConfig('busybox', dictionary);
  return documents.createOrder(JSON.stringify(document), platform);
}

describe('the typed configuration of a container', () => {
  it('says everything that a create request can say with it', () => {
    const { spec, frontDocument, warnings } = order({
      Command: variant('as', ['sh', '-c', 'true']),
      Entrypoint: variant('as', ['/bin/env']),
      Environment: variant('as', ['A=1']),
      User: variant('s', 'nobody'),
      WorkingDir: variant('s', '/tmp'),
      Hostname: variant('s', 'web'),
      Tty: variant('b', true),
      OpenStdin: variant('b', true),
      Labels: variant('a{ss}', { tier: 'web' }),
      Ports: variant('a(sqqs)', [
        ['127.0.0.1', 8080, 80, 'tcp'],
        ['', 0, 53, 'udp'],
      ]),
      Binds: variant('a(ssb)', [
        ['/srv/a:b', '/data', true],
        ['cache', '/cache', false],
        ['', '/anonymous', false],
      ]),
      VolumesFrom: variant('as', ['other']),
      Tmpfs: variant('a{ss}', { '/run': 'size=1m' }),
      Networks: variant('as', ['bridge']),
      Aliases: variant('as', ['www']),
      Dns: variant('as', ['192.0.2.1']),
      ExtraHosts: variant('as', ['db:192.0.2.2']),
      Memory: variant('t', 64n << 20n),
      CPUQuota: variant('x', 50_000n),
      CPUSet: variant('s', '0-1'),
      PidsLimit: variant('x', 100n),
      RestartPolicy: variant('s', 'on-failure:3'),
      StopSignal: variant('s', 'INT'),
      StopTimeout: variant('t', 1_500_000n),
      CapAdd: variant('as', ['NET_ADMIN']),
      CapDrop: variant('as', ['MKNOD']),
      Devices: variant('a(sss)', [['/dev/null', '', 'r']]),
      Privileged: variant('b', false),
      ReadOnlyRootfs: variant('b', true),
      SecurityOpt: variant('as', ['no-new-privileges']),
      Sysctls: variant('a{ss}', { 'net.core.somaxconn': '1024' }),
      Ulimits: variant('a(sxx)', [['nofile', 1024n, 2048n]]),
      LogDriver: variant('s', 'json-file'),
      LogOptions: variant('a{ss}', { 'max-size': '1m' }),
      Healthcheck: variant('a{sv}', { Test: variant('as', ['CMD', 'true']), Interval: variant('t', 30_000_000n) }),
      AutoRemove: variant('b', false),
      Init: variant('b', true),
      Platform: variant('s', 'linux/amd64'),
    });
    expect(warnings).toEqual([]);
    expect(spec).toMatchObject({
      image: 'busybox',
      platform: { os: 'linux', architecture: 'amd64' },
      command: ['sh', '-c', 'true'],
      entrypoint: ['/bin/env'],
      env: ['A=1'],
      user: 'nobody',
      workingDirectory: '/tmp',
      hostname: 'web',
      terminal: true,
      openStdin: true,
      labels: { tier: 'web' },
      exposedPorts: [
        { port: 80, protocol: 'tcp' },
        { port: 53, protocol: 'udp' },
      ],
      stopSignal: 'INT',
      stopTimeoutSeconds: 2,
      healthcheck: { Test: ['CMD', 'true'], Interval: 30_000_000_000 },
    });
    expect(spec.host).toMatchObject({
      portBindings: [
        { container: { port: 80, protocol: 'tcp' }, hostIp: '127.0.0.1', hostPortStart: 8080, hostPortEnd: 8080 },
        { container: { port: 53, protocol: 'udp' }, hostIp: '', hostPortStart: 0, hostPortEnd: 0 },
      ],
      mounts: [
        { kind: 'bind', source: '/srv/a:b', target: '/data', readOnly: true, createSource: true },
        { kind: 'volume', name: 'cache', target: '/cache' },
        { kind: 'volume', name: null, target: '/anonymous' },
      ],
      volumesFrom: ['other'],
      tmpfs: { '/run': 'size=1m' },
      network: { kind: 'network', name: 'bridge' },
      endpoints: { bridge: { aliases: ['www'] } },
      dns: ['192.0.2.1'],
      extraHosts: ['db:192.0.2.2'],
      resources: { memoryBytes: 64 << 20, cpuQuotaUs: 50_000, cpusetCpus: '0-1', pidsLimit: 100 },
      restartPolicy: { name: 'on-failure', maximumRetryCount: 3 },
      capabilitiesAdd: ['NET_ADMIN'],
      capabilitiesDrop: ['MKNOD'],
      devices: [{ pathOnHost: '/dev/null', pathInContainer: '/dev/null', permissions: 'r' }],
      readonlyRootfs: true,
      securityOptions: ['no-new-privileges'],
      sysctls: { 'net.core.somaxconn': '1024' },
      ulimits: [{ name: 'nofile', soft: 1024, hard: 2048 }],
      logDriver: 'json-file',
      logOptions: { 'max-size': '1m' },
      init: true,
    });
    expect(frontDocument).toMatchObject({ Config: { Image: 'busybox' }, HostConfig: { Memory: 64 << 20 } });
  });

  it('leaves to the image and the engine what is not given', () => {
    expect(order({}).spec).toMatchObject({ command: null, entrypoint: null, stopTimeoutSeconds: null });
    expect(decodeContainerConfig('busybox', {})).toMatchObject({ pull: 'missing', wait: false, platform: '' });
    const asked = decodeContainerConfig('busybox', { Pull: variant('s', 'never'), Wait: variant('b', true) });
    expect(asked).toMatchObject({ pull: 'never', wait: true });
  });

  it('takes an empty list of whatever elements, and aliases on the default network', () => {
    expect(order({ Ports: variant('as', []) }).spec.host.portBindings).toEqual([]);
    expect(order({ Aliases: variant('as', ['x']) }).spec.host.endpoints).toEqual({
      bridge: { aliases: ['x'], ipv4Address: null, ipv6Address: null, macAddress: null },
    });
  });

  it.each<readonly [string, Dictionary, RegExp]>([
    ['an unknown key', { Comand: variant('as', []) }, /unknown key "Comand"/],
    ['a key of every object', { toString: variant('s', '') }, /unknown key "toString"/],
    ['a wrong type', { Tty: variant('s', 'yes') }, /key "Tty" must be of type 'b', not 's'/],
    ['a wrong type within', { Healthcheck: variant('a{sv}', { Retries: variant('s', '3') }) }, /Healthcheck.*Retries/],
    ['an unknown key within', { Healthcheck: variant('a{sv}', { Tries: variant('u', 3) }) }, /Healthcheck.*"Tries"/],
    ['a number too large', { Memory: variant('t', 2n ** 60n) }, /"Memory": \d+ is out of range/],
    ['a port 0', { Ports: variant('a(sqqs)', [['', 80, 0, 'tcp']]) }, /"Ports".*cannot be 0/],
    ['a protocol', { Ports: variant('a(sqqs)', [['', 80, 80, 'icmp']]) }, /invalid proto: icmp/],
    ['a target', { Binds: variant('a(ssb)', [['/a', 'b', false]]) }, /must be absolute/],
    ['a restart policy', { RestartPolicy: variant('s', 'sometimes') }, /unknown policy 'sometimes'/],
    ['a retry count', { RestartPolicy: variant('s', 'on-failure:many') }, /"RestartPolicy": cannot be/],
    ['a pull policy', { Pull: variant('s', 'maybe') }, /"Pull": must be one of missing, always, never/],
    ['a platform', { Platform: variant('s', 'plan9/z80/x/y') }, /cannot parse platform specifier/],
  ])('refuses %s', (_, dictionary, message) => {
    expect(() => order(dictionary)).toThrow(InvalidArgumentError);
    expect(() => order(dictionary)).toThrow(message);
  });
});

describe('what polkit rules see', () => {
  it('is the name, the image, labels and the powers of a container', async () => {
    const engine = new FakeEngine(clock);
    const { spec, frontDocument } = order({
      Labels: variant('a{ss}', { team: 'shop', long: 'x'.repeat(1000) }),
      Binds: variant('a(ssb)', [['/etc', '/etc', false]]),
      SecurityOpt: variant('as', ['seccomp=unconfined']),
      Networks: variant('as', ['host']),
    });
    const { id } = await engine.containers.create({ name: 'web', spec, frontDocument });
    expect(detailsOfContainer(engine.containers.get(id))).toEqual({
      container: 'web',
      id,
      image: 'busybox',
      tty: 'false',
      privileged: 'true',
      'privileged-by': 'network-namespace,bind,security',
      'label.team': 'shop',
    });
  });

  it.each([
    ['volumes-from', { VolumesFrom: ['other'] }],
    ['pid-namespace', { PidMode: 'container:other' }],
    ['network-namespace', { NetworkMode: 'container:other' }],
    ['kernel-paths', { MaskedPaths: [] }],
    ['kernel-paths', { ReadonlyPaths: [] }],
  ])('counts %s among the powers', (power, HostConfig) => {
    const { spec } = documents.createOrder(JSON.stringify({ Image: 'busybox', HostConfig }), '');
    expect(detailsOfSpec(spec)).toMatchObject({ privileged: 'true', 'privileged-by': power });
  });

  it('can be sent whatever a label holds', () => {
    const { spec } = documents.createOrder(JSON.stringify({ Image: 'b', Labels: { 'a\0': 'x\ud800' } }), '');
    expect(detailsOfSpec(spec)).toMatchObject({ 'label.a\ufffd': 'x\ufffd' });
  });

  it('says of an ordinary container that it is none of the privileged', () => {
    const { spec } = order({ Binds: variant('a(ssb)', [['cache', '/cache', false]]) });
    expect(detailsOfSpec(spec)).toEqual({ image: 'busybox', tty: 'false', privileged: 'false' });
  });

  it('never lets labels stand for what the engine says, nor grow without bound', () => {
    const labels = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`l${String(i)}`, '']));
    const { spec } = order({ Labels: variant('a{ss}', { ...labels, container: 'other' }) });
    expect(detailsOfSpec(spec)).not.toHaveProperty('container');
    expect(Object.keys(detailsOfSpec(spec)).length).toBeLessThan(70);
  });
});
