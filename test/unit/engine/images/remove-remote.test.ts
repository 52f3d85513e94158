import { describe, expect, it } from 'vitest';
import { removeRemote } from '../../../../src/engine/images/distribution.ts';
import { parseReference, type NamedReference } from '../../../../src/engine/oci/reference.ts';
import { MemoryRegistry } from '../../../support/memory-registry.ts';
import { syntheticImage } from '../../../support/synthetic-image.ts';

describe('deletion at a registry', () => {
  it('goes where a push would go, asks no mirror, and shows no password meant for another', async () => {
    const image = await syntheticImage([{ a: '1' }]);
    const registry = new MemoryRegistry();
    registry.add('team/app', '1', image);
    const asked: unknown[] = [];
    const resolve = registry.resolve.bind(registry);
    registry.resolve = async (reference: NamedReference, options?: unknown) => {
      asked.push(options);
      return await resolve(reference);
    };
    const removed: string[] = [];
    registry.removeManifest = async ({ domain, path }: NamedReference, digest: string) =>
      void removed.push(`${domain}/${path}@${digest}`);
    const catalog = { referenceOf: (text: string) => ({ ...parseReference(text), domain: 'reg.test' }) };
    const context = { registry, catalog } as unknown as Parameters<typeof removeRemote>[0];
    const auth = { kind: 'password' } as never;
    expect(await removeRemote(context, 'team/app:1', { auth })).toBe(image.digest);
    expect(asked).toEqual([{ auth: null, withoutMirrors: true }]);
    expect(removed).toEqual([`reg.test/team/app@${image.digest}`]);
    await expect(removeRemote(context, 'team/app', { auth })).rejects.toThrow('say which image of team/app');
  });
});
