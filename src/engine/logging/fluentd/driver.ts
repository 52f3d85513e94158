import { InvalidArgumentError } from '../../../base/errors.ts';
import { CACHED_READING } from '../cached-reading.ts';
import type { ShippingLogDriver } from '../driver.ts';
import { parseTransportUrl, splitHostPort } from '../options/address.ts';
import { ATTRIBUTE_OPTIONS, attributesOf, checkPatterns } from '../options/attributes.ts';
import { isNonBlocking, prefixed, refuseUnknown, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { atoi, durationMs, parseBool, parseUint, ramInBytes } from '../options/go-values.ts';
import { checkTag, DEFAULT_TAG, renderTag } from '../options/tag.ts';
import { StreamTarget, type StreamPlace } from '../transport/streams.ts';
import type { FluentdSpec } from './sink.ts';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = '24224';
const DEFAULT_RETRY_MS = 1000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 10_000;

const ASYNC = 'fluentd-async';
const OLD_ASYNC = 'fluentd-async-connect';
const RECONNECT = 'fluentd-async-reconnect-interval';
const OWN = new Set([
  'fluentd-address',
  ASYNC,
  OLD_ASYNC,
  RECONNECT,
  'fluentd-buffer-limit',
  'fluentd-max-retries',
  'fluentd-request-ack',
  'fluentd-retry-wait',
  'fluentd-sub-second-precision',
  'fluentd-write-timeout',
  'tag',
  ...ATTRIBUTE_OPTIONS,
]);

/** Fluentd, Fluent Bit, and whoever else speaks their forward protocol. */
export const fluentdLogDriver: ShippingLogDriver = {
  name: 'fluentd',
  validate: (options) => {
    validateOptions(options, (own) => {
      refuseUnknown(own, OWN, (name) => `unknown log opt '${name}' for fluentd log driver`);
      settingsOf(own);
      checkTag(own['tag'] ?? DEFAULT_TAG);
      checkPatterns(own);
    });
  },
  ...CACHED_READING,
  sink(container, options): FluentdSpec {
    const { place, retryMs, maxRetries, subSecond, requestAck } = settingsOf(options);
    return {
      kind: 'fluentd',
      place,
      retryMs,
      maxRetries,
      subSecond,
      requestAck,
      tag: renderTag(options['tag'] ?? DEFAULT_TAG, container),
      record: {
        container_id: container.id,
        container_name: `/${container.name}`,
        ...attributesOf(container, options),
      },
    };
  },
  async reach(sink, options) {
    if (isNonBlocking(options) || settingsOf(options).isAsync) return;
    using target = new StreamTarget((sink as FluentdSpec).place);
    await target.connect();
  },
};

interface Settings extends Pick<FluentdSpec, 'place' | 'retryMs' | 'maxRetries' | 'subSecond' | 'requestAck'> {
  readonly isAsync: boolean;
}

/** InvalidArgumentError in Docker's words. */
function settingsOf(options: LogOptions): Settings {
  const text = (name: string): string => options[name] ?? '';
  const flag = (name: string): boolean => text(name) !== '' && parseBool(text(name));
  const address = text('fluentd-address');
  const place = prefixed(`invalid fluentd-address (${address}): `, () => placeOf(address));
  // Bounds dockerd's memory; here the bounded log holds what waits.
  if (text('fluentd-buffer-limit') !== '') ramInBytes(text('fluentd-buffer-limit'));
  const wait = text('fluentd-retry-wait');
  const retries = text('fluentd-max-retries');
  if (text(ASYNC) !== '' && text(OLD_ASYNC) !== '') {
    throw new InvalidArgumentError(`conflicting options: cannot specify both '${ASYNC}' and '${OLD_ASYNC}`);
  }
  checkReconnect(text(RECONNECT));
  if (text('fluentd-write-timeout') !== '') durationMs(text('fluentd-write-timeout'));
  return {
    place,
    retryMs: wait === '' ? DEFAULT_RETRY_MS : durationMs(wait),
    maxRetries: retries === '' ? null : parseUint(retries),
    isAsync: flag(ASYNC) || flag(OLD_ASYNC),
    subSecond: flag('fluentd-sub-second-precision'),
    requestAck: flag('fluentd-request-ack'),
  };
}

function checkReconnect(text: string): void {
  if (text === '') return;
  const interval = prefixed(`invalid value for ${RECONNECT}: `, () => durationMs(text));
  if (interval !== 0 && (interval < MIN_RECONNECT_MS || interval > MAX_RECONNECT_MS)) {
    throw new InvalidArgumentError(
      `invalid value for ${RECONNECT}: value (${JSON.stringify(text)}) must be between 100ms and 10s`,
    );
  }
}

function placeOf(address: string): StreamPlace {
  if (address === '') return { kind: 'tcp', host: DEFAULT_HOST, port: DEFAULT_PORT };
  const url = parseTransportUrl(address.includes('://') ? address : `tcp://${address}`);
  const scheme = url?.scheme ?? address.slice(0, address.indexOf('://'));
  if (url !== null && scheme === 'unix') {
    if (url.path.replace(/^\/+/, '') === '') throw new InvalidArgumentError('path is empty');
    return { kind: 'unix', path: url.path };
  }
  if (url === null || (scheme !== 'tcp' && scheme !== 'tls')) {
    throw new InvalidArgumentError(`unsupported scheme: '${scheme}'`);
  }
  if (url.path !== '') throw new InvalidArgumentError('should not contain a path element');
  const { host, port } = splitHostPort(url.host) ?? { host: url.host.replace(/^\[(.*)\]$/, '$1'), port: DEFAULT_PORT };
  const place = { host: host === '' ? DEFAULT_HOST : host, port: String(atoi(port === '' ? DEFAULT_PORT : port)) };
  return scheme === 'tls'
    ? { kind: 'tls', ...place, tls: { ca: '', cert: '', key: '', skipVerify: false } }
    : { kind: 'tcp', ...place };
}
