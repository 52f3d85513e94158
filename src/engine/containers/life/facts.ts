import { messageOf } from '../../../base/errors.ts';
import type { Container } from '../container.ts';
import type { StateDocument } from '../record.ts';
import type { Room } from '../room.ts';
import type { ContainerEvent } from '../state.ts';

/**
 * Applies what has happened whether or not the disk takes it: an ended process is not made live by a full disk, so
 * memory has the truth, and the row is mended by the next engine. False when it was not written.
 */
export function applyFact(
  room: Room,
  container: Container,
  event: ContainerEvent,
  change: Partial<Omit<StateDocument, 'state'>> = {},
): boolean {
  try {
    container.apply(event, change);
    return true;
  } catch (error) {
    room.logger.error(`${WORDS[event.kind] ?? 'what a container does'} could not be written down`, {
      container: container.id,
      reason: messageOf(error),
    });
    container.believe(event, change);
    return false;
  }
}

/** As {@link applyFact}, of what stands beside the state. `what` is the log's word for it. */
export function applyBeside(
  room: Room,
  container: Container,
  change: Partial<Pick<StateDocument, 'desired' | 'sandbox'>>,
  what: string,
): void {
  try {
    container.update(change);
  } catch (error) {
    room.logger.error(`${what} could not be written down`, { container: container.id, reason: messageOf(error) });
    container.note(change);
  }
}

const WORDS: Partial<Readonly<Record<ContainerEvent['kind'], string>>> = {
  exited: 'an exit',
  'start-failed': 'a failed start',
  'removal-started': 'the beginning of a removal',
  'removal-failed': 'a failed removal',
  'restart-cancelled': 'the end of a restart policy',
  paused: 'a pause',
  unpaused: 'the end of a pause',
};
