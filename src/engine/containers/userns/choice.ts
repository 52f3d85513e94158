/** At create: in whose user namespace a container will be, and what cannot go together with it. Pure. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { ContainerSpec, HostOptions } from '../spec-types.ts';
import type { IdRun } from './subordinate.ts';

/** By this label or annotation a client that does not know the word says it: `auto`, `auto:size=N` or `host`. */
export const USERNS_LABEL = 'org.moored.userns';
/** Ids are 32 bits, of which the last two numbers mean something else. */
const MAX_SIZE = 2 ** 32 - 2;

/** What the daemon was told of user namespaces. */
export interface UsernsOptions {
  /** For containers that do not say. */
  readonly byDefault: 'host' | 'remap' | 'auto';
  /** The ids of containers with `remap`. */
  readonly remap: IdMapping | null;
  /** What `auto` takes its ids from; the text says where that was written. */
  readonly pool: { readonly runs: readonly IdRun[]; readonly source: string };
  /** How many ids `auto` takes for containers that do not say. */
  readonly autoSize: number;
  /** Why the kernel or the disk cannot do it; null when they can. Found out when first asked. */
  readonly whyNot: () => string | null;
}

/** `remap`: the daemon's one mapping, whatever it is at each start. */
export type UsernsChoice =
  { readonly kind: 'host' } | { readonly kind: 'remap' } | { readonly kind: 'auto'; readonly size: number };

/**
 * Throws InvalidArgumentError, in Docker's words where it has some. `asked` is without what the image says. Mounts of a
 * build's step are to be mapped where there is something to map, of which whoever wrote the step knows nothing.
 */
export function chooseUserns(
  asked: ContainerSpec,
  options: UsernsOptions,
  { isStep }: { readonly isStep: boolean } = { isStep: false },
): UsernsChoice {
  const { host } = asked;
  const choice = parseWord(wordOf(asked), options);
  if (choice.kind === 'host' || (choice.kind === 'remap' && options.remap === null)) {
    if (!isStep && host.mounts.some((mount) => mount.kind === 'bind' && mount.idmap === true)) {
      throw new InvalidArgumentError(
        'invalid mount config for type "bind": idmap is for containers in a user namespace of their own',
      );
    }
    return choice;
  }
  refuseConflicts(host);
  const reason = options.whyNot();
  if (reason !== null) throw new InvalidArgumentError(`user namespaces cannot be used: ${reason}`);
  return choice;
}

/** Docker's three rules; checked again at start, as the daemon's options may have changed. */
export function refuseConflicts(host: HostOptions): void {
  if (host.privileged) {
    throw new InvalidArgumentError(
      'privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode',
    );
  }
  if (host.network.kind === 'host') {
    throw new InvalidArgumentError("cannot share the host's network namespace when user namespaces are enabled");
  }
  if (host.pidMode.kind === 'host') {
    throw new InvalidArgumentError('cannot share the host PID namespace when user namespaces are enabled');
  }
}

/** True when a container takes part in another's network, ipc or pids: it is in that one's user namespace then. */
export function joinsAnother({ network, ipcMode, pidMode }: HostOptions): boolean {
  return [network, ipcMode, pidMode].some((mode) => mode?.kind === 'container');
}

function wordOf({ host, labels }: ContainerSpec): string {
  const said = host.usernsMode ?? '';
  return said !== '' ? said : (host.annotations[USERNS_LABEL] ?? labels[USERNS_LABEL] ?? '');
}

function parseWord(word: string, { byDefault, autoSize }: UsernsOptions): UsernsChoice {
  if (word === '') return byDefault === 'auto' ? { kind: 'auto', size: autoSize } : { kind: byDefault };
  if (word === 'host') return { kind: 'host' };
  const match = /^auto(?::size=(\d+))?$/.exec(word);
  if (match === null) throw new InvalidArgumentError(`invalid user namespace mode: ${word}`);
  const [, size] = match;
  if (size === undefined) return { kind: 'auto', size: autoSize };
  const count = Number(size);
  if (count < 1 || count > MAX_SIZE) {
    throw new InvalidArgumentError(`invalid user namespace mode: ${word}: a size is from 1 to ${String(MAX_SIZE)}`);
  }
  return { kind: 'auto', size: count };
}
