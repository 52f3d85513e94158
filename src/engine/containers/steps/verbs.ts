import { ConflictError } from '../../../base/errors.ts';
import type { ContainerId } from '../../../base/ids.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { CapturedLayer } from '../../storage/packing.ts';
import { create } from '../create/create.ts';
import { refuseLeaving } from '../images/commit.ts';
import type { Room } from '../room.ts';
import { scaffoldOf } from '../secrets/mount-points.ts';
import { isLive } from '../state.ts';
import { refuseOtherStorage } from '../storage.ts';
import type { StepContainers } from '../steps.ts';

/** What builds ask of the room. */
export function stepVerbs(room: Room): StepContainers {
  return {
    createStep: ({ spec, parts }) => create(room, { name: null, spec, frontDocument: null, step: parts }),
    captureStep: (id, how) => capture(room, id, how),
    keepStep(id) {
      const container = room.registry.resolve(id);
      const { isStep: _, ...document } = container.document;
      container.amend(document);
      container.step = null;
    },
    steps: () => room.registry.all().flatMap(({ id, document }) => (document.isStep === true ? [id] : [])),
  };
}

async function capture(
  room: Room,
  id: ContainerId,
  { blobPath, isSpent, latestTime = null, signal }: Parameters<StepContainers['captureStep']>[1],
): Promise<CapturedLayer | null> {
  const container = room.registry.resolve(id);
  refuseLeaving(container, 'commit');
  refuseOtherStorage(room, container);
  // Not in its mailbox, where its runtime and monitor are being tidied up. Its removal takes the same lock.
  return room.captureLock.hold(id, async () => {
    refuseLeaving(container, 'commit');
    // A start from here on is refused.
    if (isLive(container.state)) throw new ConflictError(`container ${id} was started by somebody else`);
    const stood = await room.storage.stat(id);
    const scaffold = scaffoldOf(container);
    const parent = (stood?.parent ?? null) as ChainId | null;
    container.isUsedUp = isSpent;
    return room.packer.capture({ snapshot: id, parent, blobPath, scaffold, isSpent, latestTime, signal });
  });
}
