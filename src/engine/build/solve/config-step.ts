import { applyToConfig, type ConfigInstruction } from '../../dockerfile/apply-config.ts';
import type { StagePlace } from './job.ts';
import { topOf, type StageState } from './state.ts';
import { takeStep, type Step } from './take-step.ts';

/** An instruction that changes the configuration; WORKDIR makes its directory, too. */
export async function configStep(
  place: StagePlace,
  state: StageState,
  instruction: ConfigInstruction,
): Promise<StageState> {
  const { state: wording, recorded, notices } = applyToConfig(state, instruction);
  for (const notice of notices) await place.voice.line(notice);
  const createdBy = recorded.join(' ');
  return takeStep(place, state, {
    wording,
    createdBy,
    description: instruction.line.text,
    parts: [instruction.kind, recorded],
    make: instruction.kind === 'workdir' ? directoryMaker(place, state, wording.config.WorkingDir ?? '/') : null,
  });
}

function directoryMaker({ job }: StagePlace, state: StageState, path: string): Step['make'] {
  return async (draftPath) =>
    job.ground.copies.makeDirectory({
      parent: topOf(state),
      path,
      owner: '',
      sourceDateEpoch: job.epoch,
      draftPath,
      signal: job.signal,
    });
}
