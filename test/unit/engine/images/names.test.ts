import { beforeEach, afterEach, describe, expect, it } from 'vitest';
import { shortId } from '../../../../src/base/ids.ts';
import { EVERY_IMAGE, type ImageFilter } from '../../../../src/engine/images/types.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

const ALL: ImageFilter = { ...EVERY_IMAGE, all: false };

let room: TestRoom;
let one: SyntheticImage;
let two: SyntheticImage;

beforeEach(async () => {
  room = await makeImageRoom();
  one = await syntheticImage([{ base: 'x' }, { a: '1' }], {
    created: '2026-01-01T00:00:00Z',
    config: { Labels: { l: 'v' } },
  });
  two = await syntheticImage([{ base: 'x' }, { a: '2' }], { created: '2026-01-02T00:00:00Z' });
  room.registry.add('x/one', '1', one);
  room.registry.add('x/two', '1', two);
  await room.pull('r.io/x/one:1');
  await room.pull('r.io/x/two:1');
  room.events.length = 0;
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const names = async (filter: Partial<ImageFilter>): Promise<readonly (readonly string[])[]> =>
  (await room.images.list({ ...ALL, ...filter })).map(({ tags }) => tags);

describe('get', () => {
  it('finds by name, digest, id and unique prefix', () => {
    const { images } = room;
    for (const ref of [
      'r.io/x/one:1',
      `r.io/x/one@${one.digest}`,
      one.id,
      one.id.slice(7),
      shortId(one.id),
      one.id.slice(0, 15),
    ]) {
      expect(images.get(ref).id, ref).toBe(one.id);
    }
  });

  it.each([
    ['nope', 'No such image: nope:latest'],
    ['r.io/x/one', 'No such image: r.io/x/one:latest'],
    ['docker.io/library/nope:1', 'No such image: nope:1'],
    ['a'.repeat(64), `No such image: sha256:${'a'.repeat(64)}`],
    ['sha256:abc', 'No such image: sha256:abc'],
    [`nope@sha256:${'0'.repeat(64)}`, `No such image: nope@sha256:${'0'.repeat(64)}`],
  ])('says of %s: %s', (ref, message) => {
    expect(() => room.images.get(ref)).toThrow(expect.objectContaining({ kind: 'not-found', message }));
    expect(room.images.find(ref)).toBeNull();
  });

  it('does not guess between two ids with one prefix', async () => {
    const byFirst = new Map<string, number>();
    for (let count = 0; ![...byFirst.values()].includes(2); count += 1) {
      const image = await syntheticImage([{ n: String(count) }]);
      room.registry.add('x/many', String(count), image);
      await room.pull(`r.io/x/many:${String(count)}`);
      byFirst.set(image.id.charAt(7), (byFirst.get(image.id.charAt(7)) ?? 0) + 1);
    }
    const prefix = [...byFirst].find(([, count]) => count === 2)?.[0] ?? '';
    expect(() => room.images.get(prefix)).toThrow(`No such image: ${prefix}:latest`);
  });

  it('shows what fronts need', () => {
    expect(room.images.get('r.io/x/one:1')).toMatchObject({
      tags: ['r.io/x/one:1'],
      digests: [`r.io/x/one@${one.digest}`],
      config: { architecture: 'amd64', config: { Labels: { l: 'v' } } },
      sizeBytes: one.layers.reduce((sum, { tar }) => sum + tar.length, 0),
    });
  });
});

describe('history', () => {
  it('is newest first, with empty layers of no size', async () => {
    const rows = room.images.history('r.io/x/one:1');
    expect(rows.map(({ id }) => id)).toEqual([one.id, '<missing>']);
    expect(rows.map(({ entry }) => entry.created_by)).toEqual(['layer 1', 'layer 0']);
    expect(rows[0]?.tags).toEqual(['r.io/x/one:1']);
    expect(rows.map(({ sizeBytes }) => sizeBytes)).toEqual([one.layers[1]?.tar.length, one.layers[0]?.tar.length]);
  });
});

describe('tag', () => {
  it('gives names and takes them from others', async () => {
    room.images.tag('r.io/x/one:1', 'n', null);
    expect(room.images.get('n:latest').id).toBe(one.id);
    room.images.tag(shortId(two.id), 'n:other', 'latest');
    expect(room.images.get('n').id).toBe(two.id);
    expect(room.events).toEqual([
      { type: 'image', action: 'tag', actorId: one.id, attributes: { name: 'n:latest', l: 'v' } },
      { type: 'image', action: 'tag', actorId: two.id, attributes: { name: 'n:latest' } },
    ]);
  });

  it.each([
    ['BB', '', 'invalid reference format: repository name (library/BB) must be lowercase'],
    ['bb', 'a^', 'invalid tag format'],
    [`bb@sha256:${'0'.repeat(64)}`, '', 'refusing to create a tag with a digest reference'],
    ['sha256', 'x', 'refusing to create an ambiguous tag using digest algorithm as name'],
    ['', 'x', 'invalid reference format'],
  ])('refuses %s %s', (repository, tag, message) => {
    expect(() => room.images.tag('r.io/x/one:1', repository, tag)).toThrow(message);
    expect(room.events).toEqual([]);
  });
});

describe('list', () => {
  it('is newest first', async () => {
    expect(await names({})).toEqual([['r.io/x/two:1'], ['r.io/x/one:1']]);
  });

  it.each([
    ['r.io/*', 0],
    ['r.io/*/*', 2],
    ['r.io/x/one', 1],
    ['r.io/x/o*:1', 1],
    ['*/x/one', 1],
    ['one', 0],
  ])('reference %s: %s', async (pattern, count) => {
    expect(await names({ references: [pattern] })).toHaveLength(count);
  });

  it('hides names that do not match', async () => {
    room.images.tag('r.io/x/one:1', 'aa', '1');
    room.images.tag('r.io/x/one:1', 'aa', '2');
    expect(await names({ references: ['aa:1'] })).toEqual([['aa:1']]);
    await expect(names({ references: ['[a'] })).rejects.toThrow('syntax error in pattern');
  });

  it('filters by label, before and since', async () => {
    expect(await names({ labels: ['l'] })).toEqual([['r.io/x/one:1']]);
    expect(await names({ labels: ['l=v'] })).toHaveLength(1);
    expect(await names({ labels: ['l=w'] })).toHaveLength(0);
    expect(await names({ labels: ['l', 'm'] })).toHaveLength(0);
    expect(await names({ before: ['r.io/x/two:1'] })).toEqual([['r.io/x/one:1']]);
    expect(await names({ since: ['r.io/x/one:1'] })).toEqual([['r.io/x/two:1']]);
    await expect(names({ before: ['nope'] })).rejects.toThrow('No such image: nope:latest');
  });

  it('knows what dangles', async () => {
    room.images.tag('r.io/x/two:1', 'r.io/x/one', '1');
    expect(await names({ dangling: true })).toEqual([[]]);
    expect(await names({ dangling: false })).toHaveLength(2);
    await room.images.remove(`r.io/x/one@${one.digest}`, { force: false, prune: true });
    expect(await names({})).toHaveLength(1);
  });
});

describe('remove', () => {
  const remove = async (ref: string, force = false) => room.images.remove(ref, { force, prune: true });
  const uses = (image: SyntheticImage, running: boolean): void => {
    room.containers.set(image.id, [{ id: 'c0ffee'.repeat(10), running }]);
  };

  it('deletes with the last name, and only what nobody else needs', async () => {
    const top = room.images.get(one.id).chainId;
    expect(await remove('r.io/x/one:1')).toEqual([
      { untagged: 'r.io/x/one:1' },
      { untagged: `r.io/x/one@${one.digest}` },
      { deleted: one.id },
      { deleted: top },
    ]);
    expect(room.layerTable.all()).toHaveLength(2);
    expect(room.events.map(({ action, attributes }) => [action, attributes])).toEqual([
      ['untag', { name: one.id, l: 'v' }],
      ['delete', { name: one.id }],
    ]);
    await remove('r.io/x/two:1');
    expect(room.layerTable.all()).toEqual([]);
    expect((await room.files()).blobs).toEqual([]);
  });

  it('only untags while there are other names', async () => {
    room.images.tag(one.id, 'aa', '1');
    expect(await remove('aa:1')).toEqual([{ untagged: 'aa:1' }]);
    expect(room.images.get(one.id).tags).toEqual(['r.io/x/one:1']);
  });

  it('wants force for an id with names in several repositories', async () => {
    room.images.tag(one.id, 'aa', '1');
    await expect(remove(one.id)).rejects.toThrow(
      expect.objectContaining({
        kind: 'conflict',
        message: `conflict: unable to delete ${shortId(one.id)} (must be forced) - image is referenced in multiple repositories`,
      }),
    );
    expect((await remove(shortId(one.id), true)).slice(0, 4)).toEqual([
      { untagged: 'aa:1' },
      { untagged: 'r.io/x/one:1' },
      { untagged: `r.io/x/one@${one.digest}` },
      { deleted: one.id },
    ]);
  });

  it('keeps the image of a stopped container, until force', async () => {
    uses(one, false);
    room.layers.held.add(room.images.get(one.id).chainId!);
    await expect(remove('r.io/x/one:1')).rejects.toThrow(
      'conflict: unable to remove repository reference "r.io/x/one:1" (must force) - container c0ffeec0ffee is using ' +
        `its referenced image ${shortId(one.id)}`,
    );
    await expect(remove(one.id)).rejects.toThrow(
      `conflict: unable to delete ${shortId(one.id)} (must be forced) - image is being used by stopped container c0ffeec0ffee`,
    );
    expect(room.images.get(one.id).tags).toEqual(['r.io/x/one:1']);
    const records = await remove('r.io/x/one:1', true);
    // The layer stays under the container and goes at the next start.
    expect(records.at(-1)).toEqual({ deleted: one.id });
    expect(room.layerTable.all()).toHaveLength(3);
    room.layers.held.clear();
    await room.images.recover();
    expect(room.layerTable.all()).toHaveLength(2);
  });

  it('never deletes the image of a running container', async () => {
    uses(one, true);
    await expect(remove(one.id, true)).rejects.toThrow(
      `conflict: unable to delete ${shortId(one.id)} (cannot be forced) - image is being used by running container c0ffeec0ffee`,
    );
    expect(await remove('r.io/x/one:1', true)).toEqual([
      { untagged: 'r.io/x/one:1' },
      { untagged: `r.io/x/one@${one.digest}` },
    ]);
    expect(room.images.get(one.id).tags).toEqual([]);
  });

  it('says what is not there', async () => {
    await expect(remove('nope')).rejects.toThrow('No such image: nope:latest');
    await expect(remove('NOPE')).rejects.toThrow('must be lowercase');
  });
});
