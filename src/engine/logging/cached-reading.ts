import type { ShippingLogDriver } from './driver.ts';
import { openMonitorLog, readMonitorLog, rotateMonitorLog } from './monitor-log.ts';
import { cacheBoundsOf, cacheWarnings, isCached } from './options/every-driver.ts';

/** What drivers with a receiver elsewhere share: the monitor's log is the cache that `docker logs` reads. */
export const CACHED_READING: Pick<
  ShippingLogDriver,
  'open' | 'canRead' | 'warnings' | 'read' | 'rotate' | 'shippedPath'
> = {
  open: openMonitorLog,
  canRead: isCached,
  warnings: cacheWarnings,
  read: readMonitorLog,
  rotate: (log, options, reopen) => rotateMonitorLog(log, cacheBoundsOf(options), reopen),
  shippedPath: () => null,
};
