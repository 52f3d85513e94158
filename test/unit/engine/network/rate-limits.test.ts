import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { rateLimitsOf } from '../../../../src/engine/network/rate-limits.ts';

const EGRESS = 'org.moored.network.rate.egress';
const INGRESS = 'org.moored.network.rate.ingress';

const bytesPerSecond = (rate: string): number | undefined => rateLimitsOf({ [EGRESS]: rate }).egress?.bytesPerSecond;

describe('labels that limit bandwidth', () => {
  it('are none among others', () => {
    expect(rateLimitsOf({ a: 'b', 'org.moored.network': 'x' })).toEqual({ egress: null, ingress: null });
  });

  it.each([
    ['8000', 1000],
    ['8000bit', 1000],
    ['10mbit', 1_250_000],
    ['10Mbit', 1_250_000],
    [' 1.5gbit ', 187_500_000],
    ['1kibit', 128],
    ['8kbps', 8000],
    ['2mibps', 2 * 1024 * 1024],
    ['125bps', 125],
    ['1tbit', 125_000_000_000],
    ['100gbit', 12_500_000_000],
  ])('%s is %s bytes a second, as tc has it', (rate, bytes) => {
    expect(bytesPerSecond(rate)).toBe(bytes);
  });

  it.each([
    '',
    '0',
    '-1mbit',
    '10',
    'mbit',
    '10 mbit',
    '10m',
    '10mb',
    '1e6',
    '10%',
    'Infinity',
    '9999999tbit',
    '10ebit',
  ])('refuse %j', (rate) => {
    expect(() => rateLimitsOf({ [INGRESS]: rate })).toThrow(InvalidArgumentError);
    expect(() => rateLimitsOf({ [INGRESS]: rate })).toThrow(`invalid rate ${JSON.stringify(rate)} in label ${INGRESS}`);
  });

  it.each([
    ['10mbit', undefined, 62_500],
    ['10kbit', undefined, 16 * 1024],
    ['100gbit', undefined, 4 * 1024 * 1024],
    ['10mbit', '64kb', 64 * 1024],
    ['10mbit', '64k', 64 * 1024],
    ['10mbit', '3000', 3000],
    ['10mbit', '3000b', 3000],
    ['10mbit', '1.5mb', 1.5 * 1024 * 1024],
    ['10mbit', '64kbit', 8 * 1024],
  ])('%s with a burst of %s saves up %s bytes', (rate, burst, bytes) => {
    const labels = { [EGRESS]: rate, ...(burst === undefined ? {} : { [`${EGRESS}.burst`]: burst }) };
    expect(rateLimitsOf(labels).egress?.burstBytes).toBe(bytes);
  });

  it.each(['', '0', '1kb', 'x', '64xb', '5gb', '-1k'])('refuse a burst of %j', (burst) => {
    expect(() => rateLimitsOf({ [EGRESS]: '1mbit', [`${EGRESS}.burst`]: burst })).toThrow(
      `invalid burst ${JSON.stringify(burst)} in label ${EGRESS}.burst`,
    );
  });

  it('refuse a burst without a rate, and words that nobody would hear', () => {
    expect(() => rateLimitsOf({ [`${EGRESS}.burst`]: '64kb' })).toThrow(`label ${EGRESS}.burst needs ${EGRESS}`);
    expect(() => rateLimitsOf({ 'org.moored.network.rate.out': '1mbit' })).toThrow(
      'unknown label org.moored.network.rate.out',
    );
  });
});
