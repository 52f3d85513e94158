import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { messageOf } from '../../../src/base/errors.ts';
import { CALLS_MAX, FaultyRoom, request, unfit } from './faulty-room.ts';
import { setUp } from '../../support/sandboxes.ts';

/** What dockerd says of sockets tells the kernel's code and nothing more. */
const FAULT = /planned fault|: EIO$/;

describe.skipIf(unfit !== null)(`a kernel call fails${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('in setUp: nothing of the container is left, and the next start works', async () => {
    await using room = new FaultyRoom('s');
    await room.networks.restore([]);
    // Once without a fault: what is opened on first use (the shared rtnetlink socket) is no leak.
    const first = request();
    await room.networks.tearDown(first.containerId, await setUp(room.networks, first));
    const before = room.traces();
    expect(before).toMatchObject({ namespaces: [], leases: [], published: [], listening: 0, endpoints: 0 });
    room.told.length = 0;
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      room.plan.failCall(n);
      const wanted = request();
      const outcome = await setUp(room.networks, wanted).then(
        (sandbox) => ({ sandbox }),
        (error: unknown) => ({ error }),
      );
      room.plan.stop();
      if ('sandbox' in outcome) await room.networks.tearDown(wanted.containerId, outcome.sandbox);
      else expect(String(outcome.error)).toMatch(FAULT);
      expect(room.traces(), room.plan.failed ?? 'no fault').toEqual(before);
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
    }
    for (const call of [
      'namespaces.createNetns',
      'openRoute',
      'route.createVethPair',
      'route.batch',
      'sysctls.write',
    ]) {
      expect(failed).toContain(call);
    }
    await expect.poll(() => room.bridgePorts()).toEqual([]);
    // A failed publish is mended by writing the whole table anew, so that container did start; so did the last one.
    expect(room.told).toEqual(['connect', 'disconnect', 'connect', 'disconnect']);
    expect(failed).toContain('nft.changeElements');
  });

  it('in tearDown: everything else goes all the same, the error is told, and a second call finishes', async () => {
    await using room = new FaultyRoom('t');
    await room.networks.restore([]);
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      const wanted = request();
      const sandbox = await setUp(room.networks, wanted);
      room.plan.failCall(n);
      await room.networks.tearDown(wanted.containerId, sandbox).catch((error: unknown) => {
        expect(String(error)).toMatch(FAULT);
      });
      room.plan.stop();
      await room.networks.tearDown(wanted.containerId, sandbox);
      expect(room.traces()).toMatchObject({
        namespaces: [],
        mounts: [],
        leases: [],
        published: [],
        listening: 0,
        endpoints: 0,
      });
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
    }
    expect(failed).toEqual(['nft.changeElements', 'namespaces.removeNetns']);
  });

  it('in restore: the error is told, no rule stays, and the next start works', async () => {
    await using room = new FaultyRoom('r');
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      room.plan.failCall(n);
      const error: unknown = await room.networks.restore([]).then(
        () => null,
        (reason: unknown) => reason,
      );
      room.plan.stop();
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
      const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
      if (error === null) {
        // What a filter tries first it may do in another way.
        expect(tables, room.plan.failed).toContain(room.bridgeName);
        await room.networks.shutDown();
        continue;
      }
      // A kernel without route_localnet or ip_forward is an error too: such a host could not publish ports.
      expect(messageOf(error), room.plan.failed).toMatch(FAULT);
      expect(tables, room.plan.failed).not.toContain(room.bridgeName);
    }
    expect(failed).toContain('route.createBridge');
    const wanted = request();
    const sandbox = await setUp(room.networks, wanted);
    expect(sandbox.endpoints[0]?.ipv4Address).toBe('10.195.0.2');
    await room.networks.tearDown(wanted.containerId, sandbox);
  });
});
