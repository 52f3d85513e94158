/** Images that others were made on. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shortId } from '../../../../src/base/ids.ts';
import { EVERY_IMAGE } from '../../../../src/engine/images/types.ts';
import { chainIdsOf, digestOf, type ImageId } from '../../../../src/engine/oci/digest.ts';
import { addImage } from '../../../support/image-family.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';

let room: TestRoom;
let base: ImageId;
let middle: ImageId;
let top: ImageId;

/** Chain id of the layers of these names. */
function chain(...names: readonly string[]): string {
  return chainIdsOf(names.map((name) => digestOf(name))).at(-1) ?? '';
}

beforeEach(async () => {
  room = await makeImageRoom();
  base = addImage(room, { layers: { a: 100 }, names: ['base:1'], created: '2026-01-01T00:00:00Z' });
  middle = addImage(room, { layers: { a: 100, b: 20 }, parent: base, created: '2026-01-02T00:00:00Z' });
  top = addImage(room, {
    layers: { a: 100, b: 20, c: 3 },
    parent: middle,
    names: ['top:1', 'top:2'],
    created: '2026-01-03T00:00:00Z',
    labels: { l: 'v' },
  });
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const listed = async (filter: Partial<typeof EVERY_IMAGE>): Promise<readonly string[]> =>
  (await room.images.list({ ...EVERY_IMAGE, all: false, ...filter })).map(({ id }) => id);

describe('a nameless image in the middle', () => {
  it('is listed only with all', async () => {
    expect(await listed({})).toEqual([top, base]);
    expect(await listed({ all: true })).toEqual([top, middle, base]);
  });

  it('does not dangle, with or without all', async () => {
    expect(await listed({ dangling: true, all: true })).toEqual([]);
    expect(await listed({ dangling: false, all: true })).toEqual([top, base]);
  });

  it('is told as parent, and gives its id to a row of the history', () => {
    expect(room.images.get(top).parent).toBe(middle);
    expect(room.images.get(base).parent).toBeNull();
    expect(room.images.history('top:1').map(({ id, tags }) => [id, tags])).toEqual([
      [top, ['top:1', 'top:2']],
      [middle, []],
      [base, ['base:1']],
    ]);
    expect(room.images.history(middle).map(({ id }) => id)).toEqual([middle, base]);
  });

  it('cannot be removed, not even by force', async () => {
    for (const force of [false, true]) {
      await expect(room.images.remove(middle, { force, prune: true })).rejects.toThrow(
        expect.objectContaining({
          kind: 'conflict',
          message: `conflict: unable to delete ${shortId(middle)} (cannot be forced) - image has dependent child images`,
        }),
      );
    }
    expect(room.events).toEqual([]);
  });
});

describe('removal', () => {
  it('takes nameless parents along, child by child, and stops at a name', async () => {
    await room.images.remove('top:2', { force: false, prune: true });
    room.events.length = 0;
    expect(await room.images.remove('top:1', { force: false, prune: true })).toEqual([
      { untagged: 'top:1' },
      { deleted: top },
      { deleted: chain('a', 'b', 'c') },
      { deleted: middle },
      { deleted: chain('a', 'b') },
    ]);
    expect(await listed({ all: true })).toEqual([base]);
    expect(room.events.map(({ action, actorId, attributes }) => [action, actorId, attributes])).toEqual([
      ['untag', top, { l: 'v', name: top }],
      ['delete', top, { name: top }],
      ['delete', middle, { name: middle }],
    ]);
  });

  it('leaves parents when told to', async () => {
    expect(await room.images.remove(top, { force: true, prune: false })).toEqual([
      { untagged: 'top:1' },
      { untagged: 'top:2' },
      { deleted: top },
      { deleted: chain('a', 'b', 'c') },
    ]);
    expect(await listed({})).toEqual([middle, base]);
    expect(await listed({ dangling: true })).toEqual([middle]);
  });

  it('leaves a parent that has another child or a container', async () => {
    room.containers.set(middle, [{ id: 'c0ffee'.repeat(10), running: false }]);
    expect((await room.images.remove(top, { force: true, prune: true })).at(-1)).toEqual({
      deleted: chain('a', 'b', 'c'),
    });
    expect(await listed({})).toEqual([middle, base]);
  });

  it('only untags a name of an image with children', async () => {
    expect(await room.images.remove('base:1', { force: false, prune: true })).toEqual([{ untagged: 'base:1' }]);
    expect(room.images.get(base).tags).toEqual([]);
    await expect(room.images.remove(base, { force: true, prune: true })).rejects.toThrow(
      'image has dependent child images',
    );
  });

  it('knows nothing of families that a failed transaction changed', async () => {
    expect(await listed({})).toEqual([top, base]);
    room.containers.set(top, [{ id: 'c0ffee'.repeat(10), running: true }]);
    await expect(room.images.remove(top, { force: true, prune: true })).rejects.toThrow('running container');
    expect(await listed({})).toEqual([top, base]);
  });

  it('asks for a platform', async () => {
    const platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };
    const message =
      'image with reference top:1 was found but its platform (linux/amd64) does not match the specified platform ' +
      '(linux/arm64/v8)';
    const refusal = expect.objectContaining({ kind: 'not-found', message });
    await expect(room.images.remove('top:1', { force: false, prune: true, platform })).rejects.toThrow(refusal);
    expect(() => room.images.get('top:1', platform)).toThrow(refusal);
    expect(() => room.images.get('docker.io/library/top:1', platform)).toThrow(refusal);
    expect(() => room.images.history('top:1', platform)).toThrow(refusal);
    expect(room.images.get('top:1', { os: 'linux', architecture: 'x86_64' }).id).toBe(top);
  });
});

describe('a list', () => {
  it('takes the narrowest of several bounds', async () => {
    expect(await listed({ before: ['top:1', 'base:1'] })).toEqual([]);
    expect(await listed({ before: [top], all: true })).toEqual([middle, base]);
    expect(await listed({ since: [base, middle] })).toEqual([top]);
    expect(await listed({ until: ['2026-01-02T12:00:00Z'], all: true })).toEqual([middle, base]);
    expect(await listed({ until: ['2026-01-02T12:00:00Z', '1767225601'], all: true })).toEqual([base]);
    await expect(listed({ until: ['soon'] })).rejects.toThrow('failed to parse value as time or duration: "soon"');
  });

  it('leaves out by label', async () => {
    expect(await listed({ withoutLabels: ['l'] })).toEqual([base]);
    expect(await listed({ withoutLabels: ['l=w'] })).toEqual([top, base]);
  });

  it('puts an image that does not say when it was made last, and between no bounds', async () => {
    const old = addImage(room, { layers: { z: 1 }, names: ['old:1'] });
    expect(await listed({})).toEqual([top, base, old]);
    expect(await listed({ until: ['2030-01-01'] })).toEqual([top, base]);
    expect(await listed({ since: ['base:1'] })).toEqual([top]);
    expect(await listed({ since: ['old:1'] })).toHaveLength(3);
  });
});
