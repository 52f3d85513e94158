import { recordedStep } from '../../dockerfile/apply-config.ts';
import type { StageSource } from '../../dockerfile/stages.ts';
import type { CopyWords, Instruction } from '../../dockerfile/types.ts';
import type { StagePlace } from './job.ts';
import { linkKey } from './keys.ts';
import { topOf, type StageState } from './state.ts';
import { takeStep } from './take-step.ts';
import { treeOf } from './trees.ts';

/** COPY and ADD. `from`: what `--from` names; null: the context. */
export async function copyStep(
  place: StagePlace,
  state: StageState,
  {
    instruction,
    from,
  }: { readonly instruction: Instruction & { readonly kind: 'copy' | 'add' }; readonly from: StageSource | null },
): Promise<StageState> {
  const { job, voice } = place;
  const { signal, epoch } = job;
  await using copy = await job.ground.copies.prepare({
    verb: instruction.kind,
    words: instruction,
    from: await treeOf(place, from),
    workingDirectory: state.config.WorkingDir ?? '',
    sourceDateEpoch: epoch,
    sink: (message) => voice.say(message),
    signal,
  });
  const comment = `${instruction.kind.toUpperCase()} ${flagsText(instruction)}${copy.label} in ${instruction.destination} `;
  const { chown, chmod, link, parents, excludes, destination } = instruction;
  const parts = [instruction.kind, copy.digest, destination, { chown, chmod, link, parents, excludes }];
  // Names of owners are the parent's.
  const isFree = link && (chown === null || /^\d+(?::\d+)?$/.test(chown));
  return await takeStep(place, state, {
    wording: state,
    createdBy: recordedStep(state.config, comment).join(' '),
    description: instruction.line.text,
    parts,
    linkKey: isFree ? linkKey(epoch, parts) : null,
    make: async (draftPath) => copy.apply({ parent: topOf(state), draftPath, signal }),
  });
}

/** dockerd's builder knows `--chown` alone; the others are written likewise. */
function flagsText({ chown, chmod, link, parents, excludes }: CopyWords): string {
  const flags = [
    ...(chown === null ? [] : [`--chown=${chown}`]),
    ...(chmod === null ? [] : [`--chmod=${chmod}`]),
    ...(link ? ['--link'] : []),
    ...(parents ? ['--parents'] : []),
    ...excludes.map((pattern) => `--exclude=${pattern}`),
  ];
  return flags.map((flag) => `${flag} `).join('');
}
