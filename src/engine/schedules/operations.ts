/** What schedules do, by the facade's own verbs. */
import { ConflictError, InternalError } from '../../base/errors.ts';
import type { Containers } from '../containers/types.ts';
import type { ImageGc } from '../gc/types.ts';
import type { Images } from '../images/types.ts';
import type { Prune, PruneRequest, PruneVictim } from '../prune/types.ts';
import type { OverlapRule, ScheduleOperation } from './types.ts';

/** The rooms that operations act on. */
export interface OperationRooms {
  readonly containers: Pick<Containers, 'get' | 'start' | 'stop' | 'restart' | 'wait'>;
  readonly images: Pick<Images, 'pull'>;
  readonly prune: Prune;
  readonly gc: Pick<ImageGc, 'preview' | 'run'>;
}

/** How an operation is done this time. */
export interface Performance {
  readonly overlap: OverlapRule;
  /** Aborted with a {@link RunReplaced} when a container is to be stopped, with anything else when only we let go. */
  readonly signal: AbortSignal;
  readonly onProgress: (phase: string) => void;
  /** The container was started by a run that another engine process began: only wait for its end. */
  readonly resumed: boolean;
}

export interface Outcome {
  readonly message: string;
  readonly reclaimedBytes: number;
}

/** The next run takes this one's place, or the schedule goes. */
export class RunReplaced extends Error {
  constructor() {
    super('the run was ended for another');
  }
}

/** What the operation is about is busy, and the overlap rule says to leave this run out. */
export class RunLeftOut extends Error {}

/** How many names a message lists. */
const NAMES = 20;
const NOTHING: Outcome = { message: '', reclaimedBytes: 0 };

/** Does it. Throws what the verbs throw, RunLeftOut, or the signal's reason. */
export async function perform(rooms: OperationRooms, operation: ScheduleOperation, how: Performance): Promise<Outcome> {
  switch (operation.kind) {
    case 'prune':
      return operation.dryRun ? previewPrune(rooms, operation.request) : runPrune(rooms, operation.request, how);
    case 'run-container':
      return runContainer(rooms, operation.container, how);
    case 'image-gc':
      return operation.dryRun ? previewGc(rooms) : runGc(rooms, how);
    case 'restart-container':
      await rooms.containers.restart(operation.container, { signal: null, timeoutSeconds: null });
      return NOTHING;
    case 'pull': {
      const { signal, onProgress } = how;
      const progress = ({ status }: { readonly status?: string }): void => onProgress(status ?? '');
      await rooms.images.pull(operation.reference, { platform: null, auth: null, progress, signal });
      return NOTHING;
    }
  }
}

async function previewPrune({ prune }: OperationRooms, request: PruneRequest): Promise<Outcome> {
  const { victims, reclaimableBytes } = await prune.preview(request);
  return { message: `would remove ${listOf(victims)}`, reclaimedBytes: reclaimableBytes };
}

async function runPrune({ prune }: OperationRooms, request: PruneRequest, how: Performance): Promise<Outcome> {
  const { removed, reclaimedBytes } = await prune.run(request, how.signal, {
    onRemoved: (victim) => how.onProgress(`removed ${wordsFor(victim)}`),
  });
  return { message: `removed ${listOf(removed)}`, reclaimedBytes };
}

async function previewGc({ gc }: OperationRooms): Promise<Outcome> {
  const { victims, reclaimableBytes } = await gc.preview();
  return { message: `would remove ${listOf(victims)}`, reclaimedBytes: reclaimableBytes };
}

async function runGc({ gc }: OperationRooms, { signal, onProgress }: Performance): Promise<Outcome> {
  const onRemoved = (victim: PruneVictim): void => onProgress(`removed ${wordsFor(victim)}`);
  const { removed, reclaimedBytes } = await gc.run(signal, onRemoved);
  return { message: `removed ${listOf(removed)}`, reclaimedBytes };
}

function listOf(victims: readonly PruneVictim[]): string {
  if (victims.length === 0) return 'nothing';
  const names = victims.slice(0, NAMES).map(wordsFor);
  const others = victims.length - names.length;
  return `${names.join(', ')}${others === 0 ? '' : ` and ${String(others)} more`}`;
}

function wordsFor({ type, id, name }: PruneVictim): string {
  return `${type} ${name === '' ? id : name}`;
}

async function runContainer(
  { containers }: OperationRooms,
  ref: string,
  { overlap, signal, resumed }: Performance,
): Promise<Outcome> {
  const { id } = containers.get(ref);
  if (!resumed) await makeWay(containers, id, overlap, signal);
  const ended = containers.wait(id, resumed ? 'not-running' : 'next-exit', signal).result;
  ended.catch(() => undefined);
  if (!resumed && !(await containers.start(id))) throw new ConflictError(`container ${id} runs already`);
  try {
    const { exitCode, error } = await ended;
    if (error !== null) throw new InternalError(error);
    if (exitCode !== 0) throw new InternalError(`exit code ${String(exitCode)}`);
    return NOTHING;
  } catch (error) {
    if (signal.reason instanceof RunReplaced) await containers.stop(id, { signal: null, timeoutSeconds: null });
    throw error;
  }
}

/** Somebody else has started the container, and it still runs. */
async function makeWay(
  containers: OperationRooms['containers'],
  id: string,
  overlap: OverlapRule,
  signal: AbortSignal,
): Promise<void> {
  const { status } = containers.get(id).state;
  if (status !== 'running' && status !== 'paused' && status !== 'restarting') return;
  switch (overlap) {
    case 'skip':
      throw new RunLeftOut('the container still runs');
    case 'queue':
      await containers.wait(id, 'not-running', signal).result;
      return;
    case 'replace':
      await containers.stop(id, { signal: null, timeoutSeconds: null });
  }
}
