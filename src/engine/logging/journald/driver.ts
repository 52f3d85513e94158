import { existsSync } from 'node:fs';
import { InternalError } from '../../../base/errors.ts';
import type { JournalLogDriver, LoggedContainer, ShippingLogDriver } from '../driver.ts';
import { DEFAULT_BOUNDS, openMonitorLog, readMonitorLog, rotateMonitorLog } from '../monitor-log.ts';
import { ATTRIBUTE_OPTIONS, attributesOf, checkPatterns } from '../options/attributes.ts';
import { refuseUnknown, validateOptions, type LogOptions } from '../options/every-driver.ts';
import { checkTag, DEFAULT_TAG, renderTag } from '../options/tag.ts';
import type { JournaldSpec } from './sink.ts';

/** What the driver stands on. */
export interface JournaldGround {
  /** Whether the monitor can write fields of ours (conmon's `--log-label`). */
  readonly writesFields: boolean;
  /** Where journald listens. */
  readonly socketPath?: string;
}

const SOCKET_PATH = '/run/systemd/journal/socket';
const OWN = new Set(['tag', ...ATTRIBUTE_OPTIONS]);
const SHORT_ID_LENGTH = 12;

/**
 * The journal, beside the monitor's log. Where the monitor can write all that is asked for, it writes both, so that no
 * line is late while the daemon is away; labels and variables that an older conmon cannot write go by the pump. The daemon
 * reads the file, which is faster than the journal and is there where the journal keeps nothing (a container's or a full
 * disk's).
 */
export function createJournaldLogDriver({
  writesFields,
  socketPath = SOCKET_PATH,
}: JournaldGround): JournalLogDriver & ShippingLogDriver {
  return {
    name: 'journald',
    validate(options) {
      validateOptions(options, (own) => {
        refuseUnknown(own, OWN, (name) => `unknown log opt '${name}' for journald log driver`);
        checkTag(own['tag'] ?? DEFAULT_TAG);
        checkPatterns(own);
      });
    },
    open: openMonitorLog,
    canRead: () => true,
    warnings: () => [],
    read: readMonitorLog,
    // No option of this driver speaks of bounds.
    rotate: (log, _options, reopen) => rotateMonitorLog(log, DEFAULT_BOUNDS, reopen),
    journalEntry(container, options) {
      if (!existsSync(socketPath)) throw noJournal();
      if (!isWrittenByMonitor(options)) return null;
      return {
        name: container.name,
        tag: renderTag(options['tag'] ?? DEFAULT_TAG, container),
        fields: writesFields ? { IMAGE_NAME: container.imageName, ...attributesOf(container, options, fieldName) } : {},
      };
    },
    shippedPath: () => null,
    sink(container, options): JournaldSpec | null {
      if (isWrittenByMonitor(options)) return null;
      return { kind: 'journald', socketPath, fields: fieldsOf(container, options) };
    },
    async reach() {
      if (!existsSync(socketPath)) throw noJournal();
    },
  };

  function isWrittenByMonitor(options: LogOptions): boolean {
    return writesFields || ATTRIBUTE_OPTIONS.every((name) => (options[name] ?? '') === '');
  }
}

/** Docker's rule: capitals, digits and underscores, none of these last at the start (journald drops such fields). */
export function fieldName(key: string): string {
  return key
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, '_')
    .replace(/^_+/, '');
}

function fieldsOf(container: LoggedContainer, options: LogOptions): Readonly<Record<string, string>> {
  const tag = renderTag(options['tag'] ?? DEFAULT_TAG, container);
  return {
    CONTAINER_ID: container.id.slice(0, SHORT_ID_LENGTH),
    CONTAINER_ID_FULL: container.id,
    CONTAINER_NAME: container.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: container.imageName,
    SYSLOG_IDENTIFIER: tag,
    ...attributesOf(container, options, fieldName),
  };
}

function noJournal(): InternalError {
  return new InternalError('journald is not enabled on this host');
}
