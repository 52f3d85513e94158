import { describe, expect, it } from 'vitest';
import { messageOf } from '../../../src/base/errors.ts';
import { bridges, CALLS_MAX, connecting, FaultyRoom, network, NO_WISH, request, unfit } from './faulty-room.ts';
import type { SandboxState } from '../../../src/engine/network/types.ts';
import { setUp } from '../../support/sandboxes.ts';

const FAULT = /planned fault|: EIO$/;

/** Makes the n-th call of `verb` fail for every n; `check` sees what is left of each failure. Returns the calls failed. */
async function failEach(
  room: FaultyRoom,
  verb: () => Promise<unknown>,
  check: (failed: string | null) => unknown,
): Promise<readonly string[]> {
  const failed: string[] = [];
  for (let n = 1; n < CALLS_MAX; n += 1) {
    room.plan.failCall(n);
    const error: unknown = await verb().then(
      () => null,
      (reason: unknown) => reason,
    );
    room.plan.stop();
    if (room.plan.failed === null) {
      expect(error).toBe(null);
      return failed;
    }
    failed.push(room.plan.failed);
    if (error === null) return failed;
    expect(messageOf(error), room.plan.failed).toMatch(FAULT);
    await check(room.plan.failed);
  }
  throw new Error('a verb makes calls without end');
}

describe.skipIf(unfit !== null)(`a kernel call fails${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('in create: neither row nor bridge nor rule is left', async () => {
    await using room = new FaultyRoom('c');
    await room.networks.restore([]);
    const before = bridges();
    const failed = await failEach(
      room,
      () => room.networks.create(network('made', 1)),
      (call) => {
        expect(room.rows(), call ?? '').toEqual(['bridge', 'host', 'none']);
        expect(bridges(), call ?? '').toEqual(before);
        expect(room.filtered()).toEqual([]);
      },
    );
    expect(failed).toContain('route.createBridge');
    expect(room.told).toEqual(['create']);
    expect(bridges()).toHaveLength(before.length + 1);
  });

  it('in remove: the network is there to be removed again', async () => {
    await using room = new FaultyRoom('d');
    await room.networks.restore([]);
    const before = bridges();
    await room.networks.create(network('made', 1));
    const failed = await failEach(
      room,
      () => room.networks.remove('made'),
      () => expect(room.rows()).toEqual(['bridge', 'host', 'made', 'none']),
    );
    expect(failed).toContain('route.retireLink');
    // A rule that could not be taken away at once is taken away with the next change.
    if (room.rows().includes('made')) await room.networks.remove('made');
    expect(room.rows()).toEqual(['bridge', 'host', 'none']);
    expect(bridges()).toEqual(before);
    expect(room.filtered()).toEqual([]);
  });

  it('in setUp of three networks: nothing of the container is left on any of them', async () => {
    await using room = new FaultyRoom('e');
    await room.networks.restore([]);
    for (const [index, name] of ['a', 'b'].entries()) await room.networks.create(network(name, index + 1));
    const endpoints = { a: NO_WISH, b: { ...NO_WISH, gatewayPriority: 1 } };
    let made: SandboxState | null = null;
    let last = request({ endpoints });
    // Once without a fault: what is opened on first use is no leak.
    await room.networks.tearDown(last.containerId, await setUp(room.networks, last));
    const before = room.traces();
    await failEach(
      room,
      async () => {
        last = request({ endpoints });
        made = await setUp(room.networks, last);
      },
      (call) => expect(room.traces(), call ?? '').toEqual(before),
    );
    await room.networks.tearDown(last.containerId, made!);
    expect(room.traces()).toEqual(before);
  });

  it('in connect: the container is where it was, with its ports and its way out', async () => {
    await using room = new FaultyRoom('f');
    await room.networks.restore([]);
    await room.networks.create(network('a', 1));
    const container = request();
    const sandbox = await setUp(room.networks, container);
    const again = connecting(container, 'a');
    await room.networks.connect(again);
    await room.networks.disconnect({ containerId: container.containerId, network: 'a', force: false });
    await expect.poll(() => room.inside(sandbox).links).toEqual(['eth0']);
    const [before, inside] = [room.traces(), room.inside(sandbox)];
    const failed = await failEach(
      room,
      () => room.networks.connect(again),
      async (call) => {
        await expect.poll(() => room.inside(sandbox), { message: call ?? '' }).toEqual(inside);
        expect(room.traces(), call ?? '').toEqual(before);
        expect(room.networks.get('a').endpoints).toEqual([]);
      },
    );
    expect(failed).toContain('route.replaceRoute');
    const { sandbox: now } = { sandbox: room.networks.get('a').endpoints };
    expect(now).toHaveLength(1);
    expect(room.inside(sandbox).defaultRoute).toEqual(['10.194.1.1', 'eth1']);
    await room.networks.tearDown(container.containerId, sandbox);
  });

  it('in disconnect: it is on the network or off it, never in between', async () => {
    await using room = new FaultyRoom('g');
    await room.networks.restore([]);
    await room.networks.create(network('a', 1));
    const container = request();
    const sandbox = await setUp(room.networks, container);
    await room.networks.connect(connecting(container, 'a'));
    const leave = { containerId: container.containerId, network: 'a', force: false };
    const inside = room.inside(sandbox);
    expect(inside.links).toEqual(['eth0', 'eth1']);
    const before = room.traces();
    await failEach(
      room,
      () => room.networks.disconnect(leave),
      (call) => {
        expect(room.inside(sandbox), call ?? '').toEqual(inside);
        expect(room.traces(), call ?? '').toEqual(before);
      },
    );
    if (room.networks.get('a').endpoints.length > 0) await room.networks.disconnect(leave);
    await expect.poll(() => room.inside(sandbox).links).toEqual(['eth0']);
    expect(room.leases()).toEqual(['10.195.0.2']);
    await room.networks.tearDown(container.containerId, sandbox);
    expect(room.traces()).toMatchObject({ namespaces: [], leases: [], published: [], listening: 0, endpoints: 0 });
  });
});
