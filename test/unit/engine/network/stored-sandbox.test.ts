import { describe, expect, it } from 'vitest';
import type { ContainerId, EndpointId, NetworkId } from '../../../../src/base/ids.ts';
import { readSandbox, storedSandbox } from '../../../../src/engine/network/stored-sandbox.ts';
import type { PortBinding, PublishedPort, SandboxState } from '../../../../src/engine/network/types.ts';

const tcp = (port: number) => ({ port, protocol: 'tcp' }) as const;

function sandboxWith(ports: readonly PublishedPort[], portBindings: readonly PortBinding[]): SandboxState {
  const endpoint = {
    endpointId: 'e' as EndpointId,
    networkId: 'n' as NetworkId,
    networkName: 'bridge',
    containerId: 'c' as ContainerId,
    interfaceName: 'eth0',
    ipv4Address: '10.0.0.2',
    ipv4PrefixLength: 24,
    ipv4Gateway: '10.0.0.1',
    ipv6Address: null,
    ipv6PrefixLength: 0,
    ipv6Gateway: null,
    macAddress: '',
  };
  return {
    netnsPath: '/n',
    endpoints: [{ ...endpoint, publishedPorts: ports }],
    publishing: { portBindings, publishAll: [tcp(80)] },
  };
}

describe('a stored sandbox', () => {
  it('has thousands of ports in few words', () => {
    const numbers = Array.from({ length: 5000 }, (_, index) => 10_000 + index);
    const ports = numbers.flatMap((port) =>
      ['0.0.0.0', '::'].map((hostIp) => ({
        container: tcp(port),
        hostIp,
        hostPort: port,
        endpointIpAddress: '10.0.0.2',
      })),
    );
    const bindings = numbers.map((port) => ({
      container: tcp(port),
      hostIp: '',
      hostPortStart: port,
      hostPortEnd: port,
    }));
    const sandbox = sandboxWith(ports, bindings);
    const text = JSON.stringify(storedSandbox(sandbox));
    expect(text.length).toBeLessThan(1500);
    expect(readSandbox(JSON.parse(text) as ReturnType<typeof storedSandbox>)).toEqual(sandbox);
  });

  it('reads what older versions wrote', () => {
    const { publishing: _later, ...old } = sandboxWith(
      [{ container: tcp(80), hostIp: '0.0.0.0', hostPort: 8080, endpointIpAddress: '10.0.0.2' }],
      [],
    );
    expect(readSandbox(old)).toEqual(old);
  });
});
