/**
 * The room that checks the store; types.ts has its words. It looks with its own eyes at what lies on the disk and changes
 * things only through the rooms' own verbs. It keeps nothing: killed at any time, the next run finds what is left to do.
 */
import { Mailbox } from '../../base/mailbox.ts';
import { checkBlobs } from './blobs.ts';
import { CheckRun, type StoreCheckDependencies } from './ground.ts';
import { checkHost } from './host.ts';
import { checkImages } from './images.ts';
import { checkLayers } from './layers.ts';
import { checkLeftovers } from './leftovers.ts';
import { checkSizes } from './sizes.ts';
import { checkLayerRows, checkState } from './state.ts';
import type { StoreCheck } from './types.ts';
import { checkContainers, checkVolumes } from './users.ts';

export type { DriverStore, OtherStore, StoreCheckDependencies } from './ground.ts';

/** In the order of what stands on what: a layer is mended before the image that needs it is looked at. */
const PHASES = [
  checkState,
  checkBlobs,
  checkLayers,
  checkImages,
  checkLayerRows,
  checkContainers,
  checkVolumes,
  checkSizes,
  checkHost,
  checkLeftovers,
];

/** Makes the room. */
export function createStoreCheck(dependencies: StoreCheckDependencies): StoreCheck {
  const turns = new Mailbox();
  return {
    run: (options) =>
      turns.run(async () => {
        const run = new CheckRun(dependencies, options, await dependencies.others());
        for (const phase of PHASES) await phase(run);
        const problems = run.findings.filter(({ outcome }) => outcome !== 'repaired').length;
        return { findings: run.findings, checked: run.counts, problems };
      }),
  };
}
