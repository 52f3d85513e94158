/**
 * The short form of a mount, an entry of `Binds` (Docker's `linux_parser.go`):
 *
 *   /target · source:/target · source:/target:mode[,mode…]
 *
 * An absolute source is a path on the host (made when missing), any other a volume's name.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { MountRequest } from '../../engine/index.ts';
import { checkTarget, cleanPath, isPropagation, mountConfigError } from './mount-checks.ts';

const ACCESS = new Set(['rw', 'ro']);
const LABELS = new Set(['z', 'Z']);
const COPY = new Set(['nocopy']);
/** The engine's own: ids on the disk are those inside, in a container with a user namespace. */
const IDMAP = new Set(['idmap']);
const CONSISTENCY = new Set(['consistent', 'cached', 'delegated', 'default']);
const MODE_KINDS: readonly ((word: string) => boolean)[] = [
  (word) => ACCESS.has(word),
  (word) => LABELS.has(word),
  (word) => COPY.has(word),
  isPropagation,
  (word) => CONSISTENCY.has(word),
  (word) => IDMAP.has(word),
];

/** One entry of `Binds`; InvalidArgumentError in Docker's words. */
export function parseBind(raw: string, volumeDriver: string | null): MountRequest {
  const parts = raw.split(':');
  if (raw.startsWith(':') || parts.length > 3) throw invalidSpecification(raw);
  const [first = '', second, mode = ''] = parts;
  if (second === undefined) return volume(raw, { name: null, target: first, mode: '', driver: volumeDriver });
  // `/foo:rw`: a volume without a name cannot have a mode.
  if (parts.length === 2 && isMode(second)) throw invalidSpecification(raw);
  if (mode !== '' && !isMode(mode)) throw new InvalidArgumentError(`invalid mode: ${mode}`);
  if (!first.startsWith('/')) return volume(raw, { name: first, target: second, mode, driver: volumeDriver });
  const words = wordsOf(mode);
  return {
    kind: 'bind',
    source: cleanPath(first),
    target: withSpecification(raw, () => checkTarget('bind', second)),
    readOnly: words.includes('ro'),
    propagation: words.find(isPropagation) ?? null,
    createSource: true,
    recursive: true,
    ...(words.includes('idmap') ? { idmap: true } : {}),
    mode,
  };
}

interface VolumeWords {
  readonly name: string | null;
  readonly target: string;
  readonly mode: string;
  readonly driver: string | null;
}

function volume(raw: string, { name, target, mode, driver }: VolumeWords): MountRequest {
  const words = wordsOf(mode);
  if (words.some(isPropagation) || words.includes('idmap')) {
    withSpecification(raw, () => {
      throw mountConfigError('volume', 'field BindOptions must not be specified');
    });
  }
  return {
    kind: 'volume',
    name,
    target: withSpecification(raw, () => checkTarget('volume', target)),
    readOnly: words.includes('ro'),
    noCopy: words.includes('nocopy'),
    driver,
    labels: {},
    options: {},
    // dockerd shows a named volume without a mode as shared between containers.
    mode: name !== null && mode === '' ? 'z' : mode,
  };
}

function wordsOf(mode: string): readonly string[] {
  return mode === '' ? [] : mode.split(',');
}

/** Known words, at most one of each kind. */
function isMode(mode: string): boolean {
  const words = wordsOf(mode);
  return (
    words.length > 0 &&
    words.every((word) => MODE_KINDS.some((isKind) => isKind(word))) &&
    MODE_KINDS.every((isKind) => words.filter(isKind).length <= 1)
  );
}

function withSpecification<T>(raw: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`invalid volume specification: '${raw}': ${error.message}`);
  }
}

function invalidSpecification(raw: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid volume specification: '${raw}'`);
}
