import { describe, expect, it } from 'vitest';
import { newId } from '../../../../src/base/ids.ts';
import type { NetworkId } from '../../../../src/base/ids.ts';
import { Occupancy } from '../../../../src/engine/network/occupancy.ts';

describe('a network', () => {
  it('is not closed while somebody is inside', () => {
    const [occupancy, id] = [new Occupancy(), newId<NetworkId>()];
    const [first, second] = [occupancy.enter(id), occupancy.enter(id)];
    first![Symbol.dispose]();
    expect(occupancy.close(id)).toBe(null);
    second![Symbol.dispose]();
    expect(occupancy.close(id)).not.toBe(null);
  });

  it('is closed when the last has left, by the first who waits', async () => {
    const [occupancy, id] = [new Occupancy(), newId<NetworkId>()];
    const [first, second] = [occupancy.enter(id), occupancy.enter(id)];
    const waiting = [occupancy.closeWhenEmpty(id), occupancy.closeWhenEmpty(id)];
    first![Symbol.dispose]();
    second![Symbol.dispose]();
    expect((await Promise.all(waiting)).map((closed) => closed !== null)).toEqual([true, false]);
  });

  it('lets nobody in while it is closed, and is closed by one at a time', () => {
    const [occupancy, id] = [new Occupancy(), newId<NetworkId>()];
    const closed = occupancy.close(id);
    expect(occupancy.close(id)).toBe(null);
    expect(occupancy.enter(id)).toBe(null);
    expect(occupancy.enter(newId<NetworkId>())).not.toBe(null);
    closed![Symbol.dispose]();
    expect(occupancy.enter(id)).not.toBe(null);
  });
});
