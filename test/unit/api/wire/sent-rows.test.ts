import { describe, expect, it } from 'vitest';
import { ApiVersion } from '../../../../src/api/compat/version.ts';
import { inspectDocument, type InspectFacts } from '../../../../src/api/wire/container-inspect.ts';
import { listRow, listRowText, type ListFacts } from '../../../../src/api/wire/container-list.ts';
import type { Timestamp } from '../../../../src/base/clock.ts';
import type { ContainerView, NetworkView } from '../../../../src/engine/index.ts';

const at = (seconds: number): Timestamp => (BigInt(seconds) * 1_000_000_000n) as Timestamp;

/** What rows and documents look at, of a container that runs without an endpoint of its own. */
function viewOf(change: object = {}, host: object = {}): ContainerView {
  return {
    id: 'ab'.repeat(32),
    name: 'one',
    createdAt: at(90),
    imageId: `sha256:${'c'.repeat(64)}`,
    path: 'sleep',
    args: ['9'],
    state: { status: 'running', pid: 7, startedAt: at(100), restartCount: 0, lastExit: null },
    health: null,
    mounts: [],
    networks: new Map([['bridge', { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null }]]),
    endpoints: [],
    execIds: [],
    netnsPath: null,
    frontDocument: { HostConfig: { AutoRemove: true } },
    ipcMode: { kind: 'private' },
    cgroupnsMode: { kind: 'private' },
    spec: {
      image: 'busybox',
      labels: { a: 'b' },
      env: [],
      volumes: [],
      exposedPorts: [],
      healthcheck: null,
      host: {
        network: { kind: 'network', name: 'bridge' },
        pidMode: { kind: 'private' },
        annotations: { k: 'v' },
        restartPolicy: { name: 'no', maximumRetryCount: 0 },
        securityOptions: [],
        resources: {},
        ...host,
      },
    },
    ...change,
  } as unknown as ContainerView;
}

const network = (id: string): NetworkView => ({ id }) as NetworkView;

const FACTS: ListFacts = {
  version: new ApiVersion('1.46'),
  now: at(105),
  findNetwork: () => network('n1'),
  isCurrentReference: () => true,
  linkNames: new Map(),
  sizes: null,
};

describe('rows of the list', () => {
  it.each<[string, Partial<ListFacts>]>([
    ['nothing', {}],
    ['the time', { now: at(200) }],
    ['the version', { version: new ApiVersion('1.41') }],
    ['the image’s reference', { isCurrentReference: () => false }],
    ['the network', { findNetwork: () => network('n2') }],
    ['who is linked to it', { linkNames: new Map([['ab'.repeat(32), ['/a/b']]]) }],
    ['the network’s absence', { findNetwork: () => null }],
    ['sizes', { sizes: { writableBytes: 5, rootBytes: 6 } }],
  ])('are what they would be anew when %s has changed, and after that', (_, change) => {
    const view = viewOf();
    for (const facts of [FACTS, FACTS, { ...FACTS, ...change }, FACTS]) {
      expect(listRowText(view, facts)).toBe(JSON.stringify(listRow(view, facts)));
    }
  });

  it('are not made anew while they say the same', () => {
    const view = viewOf();
    const first = listRowText(view, FACTS);
    let labelsRead = 0;
    Object.defineProperty(view.spec, 'labels', { get: () => ((labelsRead += 1), {}) });
    expect(listRowText(view, { ...FACTS, now: at(105) })).toBe(first);
    expect(labelsRead).toBe(0);
  });
});

describe('documents of inspect', () => {
  const facts = (change: Partial<InspectFacts> = {}): InspectFacts => ({
    ...{
      version: new ApiVersion('1.51'),
      findNetwork: FACTS.findNetwork,
      nameOf: () => 'other',
      storage: {},
      sizes: null,
    },
    ...change,
  });

  it('keep what is configured by version', () => {
    const view = viewOf({ frontDocument: { Config: { MacAddress: '02:00:00:00:00:01' } } });
    const older = facts({ version: new ApiVersion('1.41') });
    const macs = [facts(), older, facts()].map((each) => JSON.stringify(inspectDocument(view, each)));
    expect(macs[0]).toBe(macs[2]);
    expect(macs[0]).not.toContain('02:00:00:00:00:01');
    expect(macs[1]).toContain('02:00:00:00:00:01');
    expect(JSON.stringify(inspectDocument(viewOf({ ...view }), older))).toBe(macs[1]);
  });

  it('name a sandbox with 64 digits, of which its path bears twelve', () => {
    const netnsPath = `/run/netns/${'ab'.repeat(6)}`;
    const { NetworkSettings } = inspectDocument(viewOf({ netnsPath }), facts()) as { NetworkSettings: object };
    expect(NetworkSettings).toMatchObject({ SandboxID: 'ab'.repeat(32), SandboxKey: netnsPath });
    const none = inspectDocument(viewOf(), facts()) as { NetworkSettings: object };
    expect(none.NetworkSettings).toMatchObject({ SandboxID: '', SandboxKey: '' });
  });

  it('name the host’s network by the process in it, while there is one', () => {
    const view = viewOf({}, { network: { kind: 'host' } });
    const running = inspectDocument(view, facts()) as { NetworkSettings: object };
    expect(running.NetworkSettings).toMatchObject({ SandboxID: 'ab'.repeat(32), SandboxKey: '/proc/7/ns/net' });
    const state = { status: 'created', error: '', exitCode: 0 };
    const made = inspectDocument({ ...view, state } as ContainerView, facts()) as { NetworkSettings: object };
    expect(made.NetworkSettings).toMatchObject({ SandboxID: '', SandboxKey: '' });
  });

  it('name whose namespaces are shared as the engine knows it, not as it was asked for', () => {
    const ref = 'cd'.repeat(32);
    const donor = { kind: 'container', ref };
    const asked = { HostConfig: { NetworkMode: 'container:x', IpcMode: 'container:x', PidMode: 'container:x' } };
    const view = viewOf({ frontDocument: asked, ipcMode: donor }, { network: donor, pidMode: donor });
    const mode = `container:${ref}`;
    expect((inspectDocument(view, facts()) as { HostConfig: object }).HostConfig).toMatchObject({
      NetworkMode: mode,
      IpcMode: mode,
      PidMode: mode,
    });
  });

  it.each([
    ['bridge', { '80/tcp': null }, [{ PrivatePort: 80, Type: 'tcp' }]],
    ['none', {}, []],
    ['host', {}, []],
  ])('show exposed ports on %s: %j', (networkName, ports, rows) => {
    const base = viewOf({ endpoints: [{ networkName, publishedPorts: [] }] });
    const view = { ...base, spec: { ...base.spec, exposedPorts: [{ port: 80, protocol: 'tcp' }] } } as ContainerView;
    const document = inspectDocument(view, facts()) as { NetworkSettings: object };
    expect(document.NetworkSettings).toMatchObject({ Ports: ports });
    expect(listRow(view, FACTS)).toMatchObject({ Ports: rows });
  });

  it('follow the names of containers that are linked to', () => {
    const view = viewOf({}, { links: [{ ref: 'x', alias: 'db' }] });
    expect(JSON.stringify(inspectDocument(view, facts()))).toContain('/other:/one/db');
    expect(JSON.stringify(inspectDocument(view, facts({ nameOf: () => 'renamed' })))).toContain('/renamed:/one/db');
  });
});
