import { InvalidArgumentError } from '../../../base/errors.ts';

const PROTOCOLS = new Set(['tcp', 'udp', 'sctp']);
const HIGHEST_PORT = 65_535;

/** The container ports of `[[ip:]host:]port[-port][/proto]`, as `80/tcp`. InvalidArgumentError in Docker's words. */
export function exposedPorts(spec: string): readonly string[] {
  const slash = spec.indexOf('/');
  const protocol = (slash < 0 ? 'tcp' : spec.slice(slash + 1)).toLowerCase();
  const ports = slash < 0 ? spec : spec.slice(0, slash);
  const container = ports.slice(ports.lastIndexOf(':') + 1);
  if (container === '') throw new InvalidArgumentError(`No port specified: ${spec}<empty>`);
  const [first = '', last = first, ...more] = container.split('-');
  const [low, high] = [portNumber(first), portNumber(last)];
  if (low === null || high === null || low > high || more.length > 0) {
    throw new InvalidArgumentError(`Invalid containerPort: ${container}`);
  }
  if (!PROTOCOLS.has(protocol)) throw new InvalidArgumentError(`Invalid proto: ${protocol}`);
  return Array.from({ length: high - low + 1 }, (_, index) => `${String(low + index)}/${protocol}`);
}

function portNumber(text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= HIGHEST_PORT ? Number(text) : null;
}
