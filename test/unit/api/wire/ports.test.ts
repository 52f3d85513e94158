import { describe, expect, it } from 'vitest';
import { parseContainerPorts, portBindingsOf } from '../../../../src/api/wire/ports.ts';

const bind = (key: string, ...bindings: readonly { readonly HostIp?: string; readonly HostPort?: string }[]) =>
  portBindingsOf({ PortBindings: { [key]: [...bindings] } });

describe('PortBindings', () => {
  it.each([
    ['80/tcp', { HostPort: '8080' }, [80, 'tcp', '', 8080, 8080]],
    ['80', { HostPort: '8000-8010' }, [80, 'tcp', '', 8000, 8010]],
    ['53/UDP', { HostIp: '::1', HostPort: '' }, [53, 'udp', '::1', 0, 0]],
    ['80/sctp', { HostPort: '0' }, [80, 'sctp', '', 0, 0]],
    ['80/tcp', { HostPort: '8080/tcp' }, [80, 'tcp', '', 8080, 8080]],
  ])('%s of %j', (key, binding, [port, protocol, hostIp, hostPortStart, hostPortEnd]) => {
    expect(bind(key, binding)).toEqual([{ container: { port, protocol }, hostIp, hostPortStart, hostPortEnd }]);
  });

  it('publish nothing without a binding', () => {
    expect(portBindingsOf({ PortBindings: { '80/tcp': [], '81/tcp': null } })).toEqual([]);
  });

  it.each([
    ['80-90/tcp', '1', 'invalid port specification: "80-90"'],
    ['x/tcp', '1', 'invalid port specification: "x"'],
    ['0/tcp', '1', 'invalid port specification: "0"'],
    ['65536/tcp', '1', 'invalid port specification: "65536"'],
    ['80/icmp', '1', 'invalid proto: icmp'],
    ['80/tcp', '1-', 'invalid port specification: "1-"'],
    ['80/tcp', '90-80', 'invalid port specification: "90-80"'],
    ['80/tcp', '70000', 'invalid port specification: "70000"'],
  ])('refuse %s:%s', (key, hostPort, text) => {
    expect(() => bind(key, { HostPort: hostPort })).toThrow(text);
  });
});

describe('ExposedPorts', () => {
  it('may be ranges', () => {
    expect(parseContainerPorts('8000-8002/udp').map(({ port }) => port)).toEqual([8000, 8001, 8002]);
  });
});
