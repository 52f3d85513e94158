import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, NotFoundError, UnavailableError } from '../../../../src/base/errors.ts';
import { EVERY_IMAGE, type CommitRequest } from '../../../../src/engine/images/types.ts';
import type { ImageId } from '../../../../src/engine/oci/digest.ts';
import { makeImageRoom, type TestRoom } from '../../../support/image-room.ts';
import { syntheticImage } from '../../../support/synthetic-image.ts';

let room: TestRoom;
let parent: ImageId;
beforeEach(async () => {
  room = await makeImageRoom();
  room.registry.add('library/base', '1', await syntheticImage([{ a: '1' }, { b: '2' }]));
  await room.pull('base:1');
  parent = room.images.get('base:1').id;
  room.events.length = 0;
});
afterEach(async () => {
  await room[Symbol.asyncDispose]();
});

const request = (change: Partial<CommitRequest> = {}): CommitRequest => ({
  snapshot: 'changed',
  parent,
  containerId: 'f'.repeat(64),
  containerConfig: { Hostname: 'h', Env: ['A=1'], Cmd: ['sh', '-c', 'echo hi'], Labels: { a: '1' }, Image: 'base:1' },
  config: null,
  changes: [],
  repository: 'made',
  tag: '1',
  author: 'me',
  comment: 'why',
  scaffold: [],
  quiesce: async () => undefined,
  onTaken: async () => undefined,
  ...change,
});

describe('commit', () => {
  it('makes an image on its parent, with a name', async () => {
    const id = await room.images.commit(request({ changes: ['LABEL b=2', 'CMD ["x"]'] }));
    const image = room.images.get('made:1');
    const base = room.images.get(parent);
    expect(image.id).toBe(id);
    expect(image.parent).toBe(parent);
    expect(image.layerChainIds.slice(0, 2)).toEqual(base.layerChainIds);
    expect(image.layerChainIds).toHaveLength(3);
    expect(image.sizeBytes).toBeGreaterThan(base.sizeBytes);
    expect(image.config).toMatchObject({
      author: 'me',
      container: 'f'.repeat(64),
      container_config: { Cmd: ['sh', '-c', 'echo hi'], Labels: { a: '1' } },
      docker_version: '1.2.3',
      architecture: base.config.architecture,
      os: base.config.os,
      config: { Hostname: 'h', Env: ['A=1'], Cmd: ['x'], Labels: { a: '1', b: '2' } },
    });
    expect(image.config.history?.at(-1)).toEqual({
      created: image.config.created,
      author: 'me',
      created_by: 'sh -c echo hi',
      comment: 'why',
    });
    expect(room.events.map(({ action, attributes }) => `${action} ${attributes['name'] ?? ''}`)).toEqual([
      `create ${id}`,
      'tag made:1',
    ]);
  });

  it('writes keys in the order of their names, as dockerd', async () => {
    const id = await room.images.commit(request());
    const keys = Object.keys(JSON.parse((await room.content.read(id)).toString()) as object);
    expect(keys).toEqual(keys.toSorted());
  });

  it('adds no layer where nothing has changed', async () => {
    await room.images.commit(request({ snapshot: 'unchanged', repository: null }));
    const [made] = (await room.images.list(EVERY_IMAGE)).filter(({ id }) => id !== parent);
    expect(made?.layerChainIds).toEqual(room.images.get(parent).layerChainIds);
    expect(made?.tags).toEqual([]);
    expect(made?.config.history?.at(-1)?.empty_layer).toBe(true);
  });

  it('keeps what it needs when its parent goes', async () => {
    await room.images.commit(request());
    const layers = room.images.get('made:1').layerChainIds;
    await room.images.remove('base:1', { force: true, prune: true, platform: null });
    for (const chainId of layers) expect(await room.layers.stat(chainId)).not.toBeNull();
    expect((await room.files()).blobs.length).toBeGreaterThanOrEqual(4);
    await room.images.remove('made:1', { force: true, prune: true, platform: null });
    expect((await room.files()).blobs).toEqual([]);
    for (const chainId of layers) expect(await room.layers.stat(chainId)).toBeNull();
  });

  it.each<[string, Partial<CommitRequest>, typeof InvalidArgumentError, string]>([
    ['a name', { repository: 'UPPER' }, InvalidArgumentError, 'invalid reference format'],
    ['a tag', { tag: 'a b' }, InvalidArgumentError, 'invalid tag format'],
    ['a digest', { repository: `made@sha256:${'a'.repeat(64)}`, tag: null }, InvalidArgumentError, 'digest'],
    ['a line', { changes: ['RUN x'] }, InvalidArgumentError, 'RUN is not a valid change command'],
    ['a parent', { parent: `sha256:${'0'.repeat(64)}` as ImageId }, NotFoundError, 'No such image: sha256:000'],
  ])('finds fault with %s before anything is stopped', async (_what, change, kind, text) => {
    let touched = false;
    const quiesce = async (): Promise<void> => void (touched = true);
    const made = room.images.commit(request({ ...change, quiesce }));
    await expect(made).rejects.toThrow(kind);
    await expect(made).rejects.toThrow(text);
    expect(touched).toBe(false);
  });

  it.each<[string, Partial<CommitRequest>]>([
    ['the container has gone', { onTaken: () => Promise.reject(new NotFoundError('gone')) }],
    ['it is told to stop', { signal: AbortSignal.abort(new Error('stopped')) }],
    ['it cannot be paused', { quiesce: () => Promise.reject(new Error('no')) }],
  ])('leaves nothing when %s', async (_what, change) => {
    const before = await room.files();
    const rows = room.layerTable.all();
    await expect(room.images.commit(request(change))).rejects.toThrow();
    expect(await room.files()).toEqual(before);
    expect(room.layerTable.all()).toEqual(rows);
    expect(room.images.find('made:1')).toBeNull();
    expect(room.events).toEqual([]);
  });

  it.each(['draft', 'publish', 'putAll'] as const)('leaves nothing when the disk is full at %s', async (step) => {
    await using full = await makeImageRoom({
      wrapContent: (content) =>
        new Proxy(content, {
          get(target, key): unknown {
            const member: unknown = Reflect.get(target, key, target);
            if (typeof member !== 'function') return member;
            if (key === step && armed) return () => Promise.reject(new UnavailableError('no space left on device'));
            if (key === 'draft' && step === 'publish') {
              return async () => {
                const draft = await target.draft();
                return {
                  path: draft.path,
                  publish: async () => Promise.reject(new UnavailableError('no space left on device')),
                  [Symbol.asyncDispose]: async () => draft[Symbol.asyncDispose](),
                };
              };
            }
            return member.bind(target) as unknown;
          },
        }),
    });
    let armed = false;
    full.registry.add('library/base', '1', await syntheticImage([{ a: '1' }]));
    await full.pull('base:1');
    const before = await full.files();
    const rows = full.layerTable.all();
    armed = true;
    const made = full.images.commit(request({ parent: full.images.get('base:1').id }));
    await expect(made).rejects.toThrow(UnavailableError);
    expect(await full.files()).toEqual(before);
    expect(full.layerTable.all()).toEqual(rows);
  });
});
