import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../src/base/ids.ts';
import type { SandboxState } from '../../../src/engine/network/types.ts';
import { bridges, CALLS_MAX, connecting, FaultyRoom, network, NO_WISH, request, unfit } from './faulty-room.ts';
import { setUp } from '../../support/sandboxes.ts';

/** What a scenario has to work with: containers, and what the engine has written down of each. */
interface Scene {
  readonly room: FaultyRoom;
  readonly container: ReturnType<typeof request>;
  readonly stored: Map<ContainerId, SandboxState>;
}

/** Without ports: the sockets that hold them would not be gone with a process that only seems to be killed. */
const quiet = (further = {}) => request({ portBindings: [], ...further });

/** Kills the engine before each call of `verb` in turn, and starts it again; kernel and state must agree after each. */
async function killEach(
  tag: string,
  prepare: (scene: Scene) => Promise<void>,
  verb: (scene: Scene) => Promise<unknown>,
  { first = 1, stride = 1 } = {},
): Promise<readonly string[]> {
  const killed: string[] = [];
  for (let n = first; n < CALLS_MAX; n += stride) {
    await using room = new FaultyRoom(tag);
    await room.networks.restore([]);
    await room.networks.create(network('a', 1));
    const container = quiet();
    const scene: Scene = { room, container, stored: new Map() };
    scene.stored.set(container.containerId, await setUp(room.networks, container));
    await prepare(scene);
    room.plan.crashAt(n);
    await verb(scene).catch((error: unknown) => expect(String(error)).toContain('planned fault'));
    const call = room.plan.failed;
    room.restart();
    await room.networks.restore([...scene.stored].map(([containerId, sandbox]) => ({ containerId, sandbox })));
    await agree(scene, call ?? 'none');
    if (call === null) return killed;
    killed.push(call);
  }
  throw new Error('a verb makes calls without end');
}

/** Each row has its bridge and rules and no bridge is without row; each sandbox is what was written down of it. */
async function agree({ room, stored }: Scene, call: string): Promise<void> {
  const names = room.rows().filter((name) => !['bridge', 'host', 'none'].includes(name));
  expect(
    bridges().map((name) => name.slice(-1)),
    call,
  ).toEqual(names.map((name) => name.slice(-1)));
  expect(room.filtered(), call).toEqual(bridges());
  const sandboxes = [...stored.values()];
  const endpoints = sandboxes.flatMap((sandbox) => sandbox.endpoints);
  expect(room.leases(), call).toEqual(endpoints.map(({ ipv4Address }) => ipv4Address).sort());
  expect(room.traces().namespaces, call).toHaveLength(sandboxes.length);
  for (const sandbox of sandboxes) {
    const way = sandbox.endpoints.find(({ gatewayOf }) => gatewayOf?.includes('ipv4'));
    // A link that is taken away by another thread is there a moment longer.
    await expect
      .poll(() => room.inside(sandbox), { message: call, timeout: 5000 })
      .toEqual({
        links: sandbox.endpoints.map(({ interfaceName }) => interfaceName),
        addresses: sandbox.endpoints.map(({ interfaceName, ipv4Address }) => [interfaceName, ipv4Address]),
        defaultRoute: way === undefined ? null : [way.ipv4Gateway, way.interfaceName],
      });
  }
}

/** The engine is killed when the verb is through. */
const AFTER_ALL = { first: CALLS_MAX - 1 };

/** Of what goes with the sandbox as a whole, every other step is enough. */
const EVERY_OTHER = { stride: 2 };

const nothing = async (): Promise<void> => undefined;

describe.skipIf(unfit !== null)(`the engine is killed${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('in create', async () => {
    const killed = await killEach('k', nothing, ({ room }) => room.networks.create(network('c', 3)));
    expect(killed).toContain('route.createBridge');
  });

  it('in remove', async () => {
    const killed = await killEach('l', nothing, ({ room }) => room.networks.remove('a'));
    expect(killed).toContain('route.retireLink');
  });

  it('in setUp on two networks', async () => {
    const endpoints = { a: { ...NO_WISH, gatewayPriority: 1 } };
    const killed = await killEach(
      'm',
      nothing,
      async ({ room, stored }) => {
        const other = quiet({ endpoints });
        stored.set(other.containerId, await setUp(room.networks, other));
      },
      EVERY_OTHER,
    );
    expect(killed.length).toBeGreaterThan(5);
  });

  it('in connect', async () => {
    const killed = await killEach('o', nothing, async ({ room, container, stored }) => {
      stored.set(container.containerId, await room.networks.connect(connecting(container, 'a')));
    });
    expect(killed).toContain('route.replaceRoute');
  });

  it('in disconnect', async () => {
    const killed = await killEach(
      'p',
      async ({ room, container, stored }) => {
        stored.set(container.containerId, await room.networks.connect(connecting(container, 'a')));
      },
      async ({ room, container, stored }) => {
        const leave = { containerId: container.containerId, network: 'a', force: false };
        stored.set(container.containerId, await room.networks.disconnect(leave));
      },
    );
    expect(killed).toContain('route.addRoute');
  });

  it('after connect and before the container is written down', async () => {
    await killEach('q', nothing, ({ room, container }) => room.networks.connect(connecting(container, 'a')), AFTER_ALL);
  });

  it('after disconnect and before the container is written down', async () => {
    await killEach(
      'r',
      async ({ room, container, stored }) => {
        stored.set(container.containerId, await room.networks.connect(connecting(container, 'a')));
      },
      ({ room, container }) =>
        room.networks.disconnect({ containerId: container.containerId, network: 'a', force: false }),
      AFTER_ALL,
    );
  });
});
