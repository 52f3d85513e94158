/**
 * The daemon that tests start: the bundle that test/run has made, which begins in a third of the time, or else the sources of
 * this checkout.
 */
export const MOORED = process.env['MOORED_PROGRAM'] ?? new URL('../../bin/moored', import.meta.url).pathname;
