import { utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChainId, Digest } from '../../../../src/engine/oci/digest.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage, type SyntheticImage } from '../../../support/synthetic-image.ts';

const MINUTE = 60_000;
let room: TestRoom;
let image: SyntheticImage;

beforeEach(async () => {
  room = await makeImageRoom();
  image = await syntheticImage([{ a: '1' }, { b: '2' }]);
  room.registry.add('x/y', '1', image);
});
afterEach(async () => room[Symbol.asyncDispose]());

/** Half a download, last written so long ago by the room's clock. */
async function halfDownload(ref: string, ageHours: number): Promise<void> {
  {
    await using ingest = await room.content.ingest(ref);
    await ingest.write(Buffer.from('half'));
  }
  const { name } = (await room.content.unfinished()).find((one) => one.name.startsWith(ref))!;
  await utimes(await pathOf(name), new Date(), new Date(Number(room.clock.now() / 1_000_000n) - ageHours * 3_600_000));
}

async function pathOf(ingest: string): Promise<string> {
  const { digest } = await room.content.put(Buffer.from('where blobs lie'));
  const blob = await room.content.pathOf(digest);
  await room.content.remove(digest);
  return join(dirname(blob), '..', '..', 'ingest', ingest);
}

async function names(): Promise<readonly string[]> {
  return (await room.files()).ingests.map((name) => name.replace(/-[0-9a-f]+$/, '')).toSorted();
}

describe('unfinished downloads', () => {
  it('stay a day for whoever takes them up, and go then', async () => {
    await halfDownload('layer-young', 23);
    await halfDownload('layer-old', 25);
    await room.images.collectLeftovers();
    expect(await names()).toEqual(['layer-young']);
  });

  it('stay while somebody is at them', async () => {
    await halfDownload('layer-old', 25);
    await using _held = await room.content.ingest('layer-old');
    await room.images.collectLeftovers();
    expect(await names()).toEqual(['layer-old']);
  });

  it('that are none go at start at once', async () => {
    await halfDownload('layer-young', 1);
    for (const name of ['draft-ab', 'put-cd', 'spool-0011-ef']) await writeFile(await pathOf(name), 'x');
    await room.images.recover();
    expect(await names()).toEqual(['layer-young']);
  });
});

describe('what nobody names', () => {
  const orphan = 'sha256:aa' as ChainId;

  beforeEach(async () => {
    await room.pull('r.io/x/y:1');
    await room.content.put(Buffer.from('nobody knows me'));
    room.layerTable.insert({ chainId: orphan, parent: null, diffId: 'sha256:bb' as never, sizeBytes: 1 });
  });

  it('stays at first, since a verb may be about to name it, and goes later', async () => {
    const all = (await room.files()).blobs.length;
    await room.images.collectLeftovers();
    expect(room.layerTable.get(orphan)).not.toBeNull();
    expect((await room.files()).blobs).toHaveLength(all);
    await room.clock.advance(11 * MINUTE);
    await room.images.collectLeftovers();
    expect(room.layerTable.get(orphan)).toBeNull();
    expect((await room.files()).blobs).toHaveLength(all - 1);
    expect(room.images.get('r.io/x/y:1').layerChainIds.map((id) => room.layerTable.get(id) !== null)).toEqual([
      true,
      true,
    ]);
  });

  it('stays for a container', async () => {
    room.layers.held.add(orphan);
    await room.images.collectLeftovers();
    await room.clock.advance(11 * MINUTE);
    await room.images.collectLeftovers();
    expect(room.layerTable.get(orphan)).not.toBeNull();
  });

  it('goes at start with what is taken away after the images', async () => {
    room.layers.held.add(orphan);
    await room.images.recover();
    expect(room.layerTable.get(orphan)).not.toBeNull();
    room.layers.held.clear();
    await room.images.settle();
    expect(room.layerTable.all().map((row) => row.chainId)).toEqual(room.images.get('r.io/x/y:1').layerChainIds);
  });

  it('goes with the last container of an image that was forced away', async () => {
    const { id, layerChainIds, chainId } = room.images.get('r.io/x/y:1');
    for (const layer of layerChainIds) room.layers.held.add(layer);
    room.containers.set(id, [{ id: 'c', running: false }]);
    await room.images.remove(id, { force: true, prune: true });
    expect(room.layerTable.all()).toHaveLength(3);
    room.layers.held.clear();
    await room.images.collectChain(chainId!);
    expect(room.layerTable.all().map((row) => row.chainId)).toEqual([orphan]);
  });
});

describe('the last use', () => {
  it('is when the image came, and what was noted after', async () => {
    await room.pull('r.io/x/y:1');
    const { id } = room.images.get('r.io/x/y:1');
    const came = room.images.lastUses().get(id);
    expect(came).toBe(room.clock.now());
    await room.clock.advance(5 * MINUTE);
    room.images.touch('r.io/x/y:1');
    expect(room.images.lastUses().get(id)).toBe(room.clock.now());
    room.images.touch('nobody/knows:this');
    expect(room.images.lastUses().size).toBe(1);
  });
});

it('a digest that is named stays, whoever looks', async () => {
  await room.pull('r.io/x/y:1');
  const blobs = (await room.files()).blobs as readonly Digest[];
  await room.images.collectLeftovers();
  await room.clock.advance(11 * MINUTE);
  await room.images.collectLeftovers();
  expect((await room.files()).blobs).toEqual(blobs);
});
