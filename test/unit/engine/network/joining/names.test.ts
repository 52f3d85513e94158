import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../../src/base/ids.ts';
import { dnsNamesOf, linksOf, renamedEndpoint } from '../../../../../src/engine/network/joining/names.ts';
import type { EndpointState } from '../../../../../src/engine/network/types.ts';

describe('the names of an endpoint', () => {
  const container = { containerId: 'abcdef0123456789'.repeat(4) as ContainerId, containerName: 'web', hostname: 'h' };

  it("are in Docker's order, each once", () => {
    expect(dnsNamesOf({ name: 'db' }, container, ['w', 'web', 'h'])).toEqual(['web', 'w', 'h', 'abcdef012345']);
    expect(dnsNamesOf({ name: 'db' }, { ...container, hostname: 'abcdef012345' }, [])).toEqual(['web', 'abcdef012345']);
  });

  it('are none on predefined networks', () => {
    expect(dnsNamesOf({ name: 'bridge' }, container, [])).toEqual([]);
  });

  it('change with the name of the container, and an alias of the old name stays', () => {
    const before = { ...container, networkName: 'db', aliases: ['web'] } as unknown as EndpointState;
    expect(renamedEndpoint(before, 'new', 'h')).toMatchObject({
      containerName: 'new',
      dnsNames: ['new', 'web', 'abcdef012345', 'h'],
    });
  });

  it('are known to one container by links of its own', () => {
    expect(linksOf(['db:store', 'cache'])).toEqual({ store: 'db', cache: 'cache' });
  });
});
