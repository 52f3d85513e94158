import { InvalidArgumentError, InternalError, messageOf } from '../../../base/errors.ts';
import { CACHED_READING } from '../cached-reading.ts';
import type { LoggedContainer, ShippingLogDriver } from '../driver.ts';
import { joinHostPort, parseTransportUrl, splitHostPort, type HostPort } from '../options/address.ts';
import { ATTRIBUTE_OPTIONS, attributesOf, checkPatterns } from '../options/attributes.ts';
import { isNonBlocking, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { atoi } from '../options/go-values.ts';
import { checkTag, DEFAULT_TAG, renderTag } from '../options/tag.ts';
import { goJsonMap } from '../sink.ts';
import { timeText } from '../time-text.ts';
import { StreamTarget } from '../transport/streams.ts';
import type { GelfCompression } from './message.ts';
import type { GelfSpec } from './sink.ts';

/** The library's own: the fastest. */
const DEFAULT_LEVEL = 1;
const LOWEST_LEVEL = -1;
const HIGHEST_LEVEL = 9;
const DEFAULT_DELAY_SECONDS = 1;
const COMMON = new Set<string>(['tag', 'gelf-address', ...ATTRIBUTE_OPTIONS]);

interface GelfPlace extends HostPort {
  readonly kind: 'udp' | 'tcp';
}

/** Graylog and its like. */
export const gelfLogDriver: ShippingLogDriver = {
  name: 'gelf',
  validate: (options) => {
    validateOptions(options, (own) => {
      const place = placeOf(own);
      for (const [name, value] of Object.entries(own)) checkOption(place, name, value);
      checkTag(own['tag'] ?? DEFAULT_TAG);
      checkPatterns(own);
    });
  },
  ...CACHED_READING,
  sink(container, options): GelfSpec {
    return {
      kind: 'gelf',
      place: placeOf(options),
      compression: (options['gelf-compression-type'] ?? 'gzip') as GelfCompression,
      level: options['gelf-compression-level'] === undefined ? DEFAULT_LEVEL : atoi(options['gelf-compression-level']),
      retryMs: 1000 * atoi(options['gelf-tcp-reconnect-delay'] ?? String(DEFAULT_DELAY_SECONDS)),
      extra: extraOf(container, options),
    };
  },
  async reach(sink, options) {
    const { place } = sink as GelfSpec;
    if (isNonBlocking(options) || place.kind === 'udp') return;
    const { host, port } = place;
    try {
      using target = new StreamTarget({ kind: 'tcp', host, port });
      await target.connect();
    } catch (error) {
      throw new InternalError(`gelf: cannot connect to GELF endpoint: ${joinHostPort(place)} ${messageOf(error)}`, {
        cause: error,
      });
    }
  },
};

/** InvalidArgumentError in Docker's words. */
function placeOf(options: LogOptions): GelfPlace {
  const address = options['gelf-address'] ?? '';
  if (address === '') throw new InvalidArgumentError('gelf-address is a required parameter');
  const url = parseTransportUrl(address);
  if (url === null) {
    throw new InvalidArgumentError(`gelf-address should be in form proto://address, got ${address}`);
  }
  const { scheme } = url;
  if (scheme !== 'udp' && scheme !== 'tcp') {
    throw new InvalidArgumentError('gelf: endpoint needs to be TCP or UDP');
  }
  const place = quietly(() => splitHostPort(url.host));
  if (place === null) throw new InvalidArgumentError('gelf: please provide gelf-address as proto://host:port');
  return { kind: scheme, ...place };
}

function quietly<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

function checkOption(place: GelfPlace, name: string, value: string): void {
  if (COMMON.has(name)) return;
  const unknownValue = `unknown value ${JSON.stringify(value)} for log opt ${JSON.stringify(name)} for gelf log driver`;
  switch (name) {
    case 'gelf-compression-level':
      if (place.kind !== 'udp') throw new InvalidArgumentError('compression is only supported on UDP');
      if (!isWithin(value, LOWEST_LEVEL, HIGHEST_LEVEL)) throw new InvalidArgumentError(unknownValue);
      return;
    case 'gelf-compression-type':
      if (place.kind !== 'udp') throw new InvalidArgumentError('compression is only supported on UDP');
      if (!['gzip', 'zlib', 'none'].includes(value)) throw new InvalidArgumentError(unknownValue);
      return;
    case 'gelf-tcp-max-reconnect':
    case 'gelf-tcp-reconnect-delay':
      if (place.kind !== 'tcp') throw new InvalidArgumentError(`${JSON.stringify(name)} is only valid for TCP`);
      if (!isWithin(value, 0, Infinity)) {
        throw new InvalidArgumentError(`${JSON.stringify(name)} must be a positive integer`);
      }
      return;
    default:
      throw new InvalidArgumentError(`unknown log opt ${JSON.stringify(name)} for gelf log driver`);
  }
}

function isWithin(text: string, low: number, high: number): boolean {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  return value >= low && value <= high;
}

/** The fields that all messages of a container have, as the inside of a JSON object. */
function extraOf(container: LoggedContainer, options: LogOptions): string {
  const fields = {
    _container_id: container.id,
    _container_name: container.name,
    _image_id: container.imageId,
    _image_name: container.imageName,
    _command: container.command.join(' '),
    _tag: renderTag(options['tag'] ?? DEFAULT_TAG, container),
    _created: timeText(container.createdAt),
    ...attributesOf(container, options, (key) => (key.startsWith('_') ? key : `_${key}`)),
  };
  return goJsonMap(fields).slice(1, -1);
}
