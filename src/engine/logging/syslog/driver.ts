import { existsSync, statSync } from 'node:fs';
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import { CACHED_READING } from '../cached-reading.ts';
import type { ShippingLogDriver } from '../driver.ts';
import { joinHostPort, parseTransportUrl, splitHostPort, type HostPort } from '../options/address.ts';
import { ATTRIBUTE_OPTIONS, checkPatterns } from '../options/attributes.ts';
import { isNonBlocking, refuseUnknown, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { checkTag, DEFAULT_TAG, renderTag } from '../options/tag.ts';
import { StreamTarget, tlsOptions, type TlsFiles } from '../transport/streams.ts';
import { FACILITIES, FORMATS, type SyslogFormat } from './format.ts';
import type { SyslogPlace, SyslogSpec } from './sink.ts';

const TLS_SCHEME = 'tcp+tls';
const DEFAULT_PORT = '514';
const DAEMON_FACILITY = 3;
const MAX_FACILITY = 23;
/** Where a syslog of this host listens. */
const LOCAL_SOCKETS = ['/dev/log', '/var/run/syslog', '/var/run/log'];

const OWN = new Set([
  'syslog-address',
  'syslog-facility',
  'syslog-format',
  'syslog-tls-ca-cert',
  'syslog-tls-cert',
  'syslog-tls-key',
  'syslog-tls-skip-verify',
  'tag',
  ...ATTRIBUTE_OPTIONS,
]);

/** A syslog, of this host or another. */
export const syslogLogDriver: ShippingLogDriver = {
  name: 'syslog',
  validate: (options) => {
    validateOptions(options, (own) => {
      refuseUnknown(own, OWN, (name) => `unknown log opt '${name}' for syslog log driver`);
      placeOf(own);
      facilityOf(own);
      formatOf(own);
      checkTag(own['tag'] ?? DEFAULT_TAG);
      checkPatterns(own);
    });
  },
  ...CACHED_READING,
  sink(container, options): SyslogSpec {
    const place = placeOf(options);
    const isFramed = place.kind === 'tls' && (options['syslog-format'] ?? '').startsWith('rfc5424');
    return {
      kind: 'syslog',
      place,
      facility: facilityOf(options),
      format: formatOf(options),
      isFramed,
      // A line break in it (from a hostile image's command) would begin a record of its own.
      tag: renderTag(options['tag'] ?? DEFAULT_TAG, container).replaceAll(/\p{Cc}/gu, ' '),
    };
  },
  async reach(sink, options) {
    if (isNonBlocking(options)) return;
    const { place } = sink as SyslogSpec;
    switch (place.kind) {
      case 'datagrams':
        if (!existsSync(place.path)) throw new InternalError('Unix syslog delivery error');
        return;
      case 'udp':
        return;
      case 'tls':
      case 'tcp':
      case 'unix': {
        if (place.kind === 'tls') tlsOptions(place.tls);
        using target = new StreamTarget(place);
        await target.connect();
      }
    }
  },
};

/** InvalidArgumentError in Docker's words. */
function placeOf(options: LogOptions): SyslogPlace {
  const address = options['syslog-address'] ?? '';
  if (address === '') {
    return { kind: 'datagrams', path: LOCAL_SOCKETS.find((path) => existsSync(path)) ?? '/dev/log' };
  }
  const url = parseTransportUrl(address);
  if (url === null) {
    throw new InvalidArgumentError(`syslog-address should be in form proto://address, got ${address}`);
  }
  switch (url.scheme) {
    case 'unix':
    case 'unixgram':
      if (statSync(url.path, { throwIfNoEntry: false }) === undefined) {
        throw new InvalidArgumentError(`stat ${url.path}: no such file or directory`);
      }
      return { kind: url.scheme === 'unix' ? 'unix' : 'datagrams', path: url.path };
    case 'udp':
      return { kind: 'udp', ...hostPortOf(url.host) };
    case TLS_SCHEME:
      return { kind: 'tls', ...hostPortOf(url.host), tls: tlsFilesOf(options) };
    default:
      return { kind: 'tcp', ...hostPortOf(url.host) };
  }
}

function hostPortOf(text: string): HostPort {
  const split = splitHostPort(text);
  if (split !== null) return split;
  const host = text.replace(/^\[(.*)\]$/, '$1');
  return splitHostPort(joinHostPort({ host, port: DEFAULT_PORT })) ?? { host, port: DEFAULT_PORT };
}

function tlsFilesOf(options: LogOptions): TlsFiles {
  return {
    ca: options['syslog-tls-ca-cert'] ?? '',
    cert: options['syslog-tls-cert'] ?? '',
    key: options['syslog-tls-key'] ?? '',
    // Docker asks whether the option is there, not what it says.
    skipVerify: options['syslog-tls-skip-verify'] !== undefined,
  };
}

function facilityOf(options: LogOptions): number {
  const text = options['syslog-facility'] ?? '';
  if (text === '') return DAEMON_FACILITY;
  const named = FACILITIES.get(text);
  if (named !== undefined) return named;
  const number = /^\+?\d+$/.test(text) ? Number(text) : -1;
  if (number < 0 || number > MAX_FACILITY) throw new InvalidArgumentError('invalid syslog facility');
  return number;
}

function formatOf(options: LogOptions): SyslogFormat {
  const text = options['syslog-format'] ?? '';
  const format = FORMATS.get(text);
  if (format === undefined) throw new InvalidArgumentError('Invalid syslog format');
  return format;
}
