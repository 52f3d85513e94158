import { isIP } from 'node:net';
import { InvalidArgumentError } from '../../base/errors.ts';

const PROTOCOLS = new Set(['tcp', 'udp', 'sctp']);
const HIGHEST_PORT = 65_535;

/** The container ports of `[[ip:]host:]port[-port][/proto]`, as `80/tcp`. InvalidArgumentError in Docker's words. */
export function exposedPorts(spec: string): readonly string[] {
  const parts = spec.split(':');
  const [ports = '', written = ''] = (parts.pop() ?? '').split('/');
  const hostPorts = parts.pop() ?? '';
  checkAddress(parts.join(':'));
  if (ports === '') throw new InvalidArgumentError(`no port specified: ${spec}<empty>`);
  const range = portRange(ports);
  if (range === null) throw new InvalidArgumentError(`invalid containerPort: ${ports}`);
  checkHostPorts(hostPorts, ports, range);
  const protocol = written === '' ? 'tcp' : written.toLowerCase();
  if (!PROTOCOLS.has(protocol)) throw new InvalidArgumentError(`invalid proto: ${written}`);
  const [low, high] = range;
  return Array.from({ length: high - low + 1 }, (_, index) => `${String(low + index)}/${protocol}`);
}

type Range = readonly [low: number, high: number];

function checkAddress(address: string): void {
  const bare = /^\[(.*)\]$/.exec(address)?.[1] ?? address;
  if (bare !== '' && isIP(bare) === 0) throw new InvalidArgumentError(`invalid IP address: ${bare}`);
}

/** What a host would do with them is no image's business, but Docker reads them. */
function checkHostPorts(hostPorts: string, ports: string, [low, high]: Range): void {
  if (hostPorts === '') return;
  const range = portRange(hostPorts);
  if (range === null) throw new InvalidArgumentError(`invalid hostPort: ${hostPorts}`);
  if (high > low && high - low !== range[1] - range[0]) {
    throw new InvalidArgumentError(`invalid ranges specified for container and host Ports: ${ports} and ${hostPorts}`);
  }
}

function portRange(text: string): Range | null {
  const [first = '', last = first] = text.split('-');
  const [low, high] = [portNumber(first), portNumber(last)];
  return low === null || high === null || low > high ? null : [low, high];
}

function portNumber(text: string): number | null {
  const number = /^\d+$/.test(text) ? Number(text) : -1;
  return number >= 0 && number <= HIGHEST_PORT ? number : null;
}
