import { expect, it } from 'vitest';
import type { EndpointId, NetworkId } from '../../../../src/base/ids.ts';
import type { EndpointRequest } from '../../../../src/engine/network/driver.ts';
import { kernelAnnouncer, needsAnnouncing } from '../../../../src/engine/network/interface/announce.ts';
import { macAddressOf } from '../../../../src/engine/network/naming.ts';
import type { NetworkRecord } from '../../../../src/engine/network/types.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';

const request: EndpointRequest = {
  endpointId: 'e' as EndpointId,
  network: { id: 'n' as NetworkId, pools: [] } as unknown as NetworkRecord,
  interfaceName: 'eth0',
  ipv4Address: '10.1.0.2',
  ipv6Address: null,
  macAddress: macAddressOf('10.1.0.2'),
  defaultRoute: true,
};

it('is needed where the MAC address does not follow from every address', () => {
  expect(needsAnnouncing(request)).toBe(false);
  expect(needsAnnouncing({ ...request, macAddress: '02:42:00:00:00:07' })).toBe(true);
  expect(needsAnnouncing({ ...request, ipv6Address: 'fd00::2' })).toBe(true);
  expect(
    needsAnnouncing({ ...request, ipv4Address: null, ipv6Address: 'fd00::2', macAddress: macAddressOf('fd00::2') }),
  ).toBe(false);
});

it('is done twice, by setting the MAC address anew, and not for a sandbox that is gone', async () => {
  const kernel = new FakeKernel();
  const clock = new FakeClock();
  kernel.namespaces.createNetns('/n');
  const netns = kernel.namespaces.openNetns('/n');
  kernel.netns.get('/n')?.addLink({ name: 'eth0', macAddress: request.macAddress });
  kernel.forget();
  const sandbox = { netnsPath: '/n', netns, inside: kernel.openRoute(netns) };
  kernelAnnouncer(kernel, clock).announce(sandbox, request);
  expect(kernel.argsOf('route.changeLink')).toEqual([]);
  await clock.advance(20);
  expect(kernel.argsOf('route.changeLink')).toEqual([[2, { macAddress: request.macAddress }]]);
  await clock.advance(280);
  expect(kernel.argsOf('route.changeLink')).toHaveLength(2);

  kernelAnnouncer(kernel, clock).announce(sandbox, { ...request, macAddress: '02:42:00:00:00:07' });
  kernel.namespaces.removeNetns('/n');
  await clock.advance(300);
  expect(kernel.argsOf('route.changeLink')).toHaveLength(2);
});
