import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { withDefaultOptions } from '../../../../src/engine/network/records/default-options.ts';
import type { NetworkRequest } from '../../../../src/engine/network/types.ts';

const request: NetworkRequest = {
  name: 'n',
  driver: '',
  enableIpv4: true,
  enableIpv6: null,
  internal: false,
  attachable: false,
  options: {},
  labels: {},
  ipamDriver: '',
  ipamOptions: null,
  pools: [],
};

describe('default options of networks', () => {
  const defaults = { bridge: { mtu: '1400', 'com.docker.network.enable_ipv6': 'true' }, macvlan: { parent: 'eth1' } };

  it('are those of the driver, after what the user says', () => {
    expect(withDefaultOptions(defaults, { ...request, options: { mtu: '9000', a: 'b' } })).toEqual({
      ...request,
      options: { mtu: '9000', a: 'b', 'com.docker.network.enable_ipv6': 'true' },
      enableIpv6: true,
    });
    expect(withDefaultOptions(defaults, { ...request, driver: 'macvlan' }).options).toEqual({ parent: 'eth1' });
    expect(withDefaultOptions(defaults, { ...request, driver: 'ipvlan' })).toEqual({
      ...request,
      driver: 'ipvlan',
      enableIpv6: false,
    });
  });

  it('yield to a request that names its families', () => {
    expect(withDefaultOptions(defaults, { ...request, enableIpv6: false }).enableIpv6).toBe(false);
    const options = { 'com.docker.network.enable_ipv4': '0', 'com.docker.network.enable_ipv6': '1' };
    expect(withDefaultOptions({}, { ...request, options })).toMatchObject({ enableIpv4: false, enableIpv6: true });
  });

  it.each(['com.docker.network.enable_ipv4', 'com.docker.network.enable_ipv6'])('must be booleans: %s', (key) => {
    expect(() => withDefaultOptions({}, { ...request, options: { [key]: 'yes' } })).toThrow(
      new InvalidArgumentError(`driver-opt "${key}" is not a valid bool`),
    );
  });
});
