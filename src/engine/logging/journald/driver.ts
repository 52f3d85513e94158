import { existsSync } from 'node:fs';
import { InvalidArgumentError, NotImplementedError, UnavailableError } from '../../../base/errors.ts';
import type { JournalLogDriver, ReadableLogDriver } from '../driver.ts';
import { attributesOf, checkPatterns } from './attributes.ts';
import { checkTag, DEFAULT_TAG, renderTag } from './tag.ts';

/** What the driver stands on. */
export interface JournaldGround {
  /** Keeps the bounded file from which `docker logs` reads. */
  readonly file: ReadableLogDriver;
  /** Whether the monitor can write fields of ours (conmon's `--log-label`). */
  readonly writesFields: boolean;
  /** Where journald listens. */
  readonly socketPath?: string;
}

const SOCKET_PATH = '/run/systemd/journal/socket';
const ATTRIBUTE_OPTIONS = ['labels', 'labels-regex', 'env', 'env-regex'] as const;

/**
 * The journal, beside a bounded file of the container's own. The monitor writes both, so that no line is lost or late
 * while the daemon is away; the daemon reads the file, which is faster than the journal and is there where the journal
 * keeps nothing (a container's or a full disk's).
 */
export function createJournaldLogDriver({
  file,
  writesFields,
  socketPath = SOCKET_PATH,
}: JournaldGround): JournalLogDriver {
  return {
    name: 'journald',
    validate(options) {
      for (const [name, value] of Object.entries(options)) checkOption(name, value);
      checkTag(options['tag'] ?? DEFAULT_TAG);
      checkPatterns(options);
    },
    warnings(options) {
      const idle = ATTRIBUTE_OPTIONS.filter((name) => (options[name] ?? '') !== '');
      if (writesFields || idle.length === 0) return [];
      return [
        `log opt ${idle.map((name) => `'${name}'`).join(', ')} has no effect with the journald log driver: the conmon of this host is too old to write fields of ours (it has no --log-label)`,
      ];
    },
    open: (containerId, directory) => file.open(containerId, directory),
    read: (log, options) => file.read(log, options),
    // Its bounds are the file's own defaults: no option of this driver speaks of them.
    rotate: (log, _options, reopen) => file.rotate(log, {}, reopen),
    journalEntry(container, options) {
      if (!existsSync(socketPath)) {
        throw new UnavailableError('failed to initialize logging driver: journald is not enabled on this host');
      }
      return {
        name: container.name,
        tag: renderTag(options['tag'] ?? DEFAULT_TAG, container),
        fields: writesFields ? { IMAGE_NAME: container.imageName, ...attributesOf(container, options) } : {},
      };
    },
  };
}

function checkOption(name: string, value: string): void {
  switch (name) {
    case 'tag':
    case 'labels':
    case 'labels-regex':
    case 'env':
    case 'env-regex':
      return;
    case 'mode':
      if (value === 'blocking') return;
      if (value !== 'non-blocking') throw new InvalidArgumentError(`logger: logging mode not supported: ${value}`);
      throw new NotImplementedError(`log opt 'mode=${value}' is not supported by this version of moored`);
    default:
      throw new InvalidArgumentError(`unknown log opt '${name}' for journald log driver`);
  }
}
