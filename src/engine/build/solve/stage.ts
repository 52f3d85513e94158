/** One stage, from its FROM to its last instruction. */
import { shortId } from '../../../base/ids.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { StageArguments, type BuildArguments, type DeclaredArgs } from '../../dockerfile/arguments.ts';
import { parseTriggers } from '../../dockerfile/parse.ts';
import { sourceOf, type PlannedStage, type StageSource } from '../../dockerfile/stages.ts';
import type { ParsedDockerfile, ParsedInstruction, SourceLine } from '../../dockerfile/types.ts';
import type { Platform } from '../../oci/image-spec.ts';
import { parsePlatform } from '../../oci/parse-platform.ts';
import { configStep } from './config-step.ts';
import { copyStep } from './copy-step.ts';
import type { StagePlace } from './job.ts';
import { runStep } from './run-step.ts';
import { beginOn, continueFrom, type StageState } from './state.ts';
import { baseImage } from './trees.ts';

export interface StageWork {
  readonly parsed: ParsedDockerfile;
  readonly planned: PlannedStage;
  /** Of the stage, and those that the request adds. */
  readonly instructions: readonly ParsedInstruction[];
  readonly args: BuildArguments;
  /** Says the line of the next step. */
  readonly announce: (line: SourceLine) => Promise<void>;
}

/** Builds a stage. */
export async function buildStage(place: StagePlace, work: StageWork): Promise<StageState> {
  const { voice, job } = place;
  const { planned, parsed, announce } = work;
  const instructions = new Instructions(place, work);
  await announce(planned.stage.line);
  let state = await begin(place, planned);
  instructions.inherit(state.declaredArgs);
  const triggers = state.config.OnBuild ?? [];
  if (triggers.length > 0) {
    await voice.line(`# Executing ${String(triggers.length)} build trigger${triggers.length > 1 ? 's' : ''}`);
    state = { ...state, config: { ...state.config, OnBuild: null } };
    for (const trigger of parseTriggers(triggers, parsed.escape)) state = await instructions.perform(trigger, state);
  }
  await sayState(place, state);
  for (const instruction of work.instructions) {
    job.signal.throwIfAborted();
    await announce(instruction.line);
    state = await instructions.perform(instruction, state);
    await sayState(place, state);
  }
  return { ...state, declaredArgs: instructions.declaredArgs };
}

async function sayState({ voice }: StagePlace, { image }: StageState): Promise<void> {
  await voice.line(` ---> ${image === null ? '' : shortId(image.id)}`);
}

async function begin(place: StagePlace, { base, platform: written }: PlannedStage): Promise<StageState> {
  const { job, voice } = place;
  const platform = written === null ? job.request.platform : platformOf(written);
  switch (base.kind) {
    case 'stage':
      return continueFrom(await job.stage(base.index));
    case 'scratch':
      return beginOn(null, platform ?? job.ground.platform);
    case 'image':
      return beginOn(await baseImage(job, base.reference, { platform, voice }), job.ground.platform);
  }
}

function platformOf(text: string): Platform | null {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`failed to parse platform ${text}: ${error.message}`, { cause: error });
  }
}

/** The instructions of one stage, with the arguments that it has declared so far. */
class Instructions {
  readonly #place: StagePlace;
  readonly #work: StageWork;
  readonly #args: StageArguments;

  constructor(place: StagePlace, work: StageWork) {
    this.#place = place;
    this.#work = work;
    this.#args = new StageArguments(work.args);
  }

  get declaredArgs(): DeclaredArgs {
    return this.#args.declared;
  }

  /** Those of the stage that it stands on. */
  inherit(declared: DeclaredArgs): void {
    this.#args.inherit(declared);
  }

  async perform(parsed: ParsedInstruction, state: StageState): Promise<StageState> {
    const instruction = parsed.expand(this.#args.environment(state.config.Env ?? []));
    switch (instruction.kind) {
      case 'run': {
        const sourceOfName = (name: string): StageSource => this.#sourceOf(parsed, name);
        return runStep(this.#place, state, { instruction, args: this.#args, sourceOf: sourceOfName });
      }
      case 'copy':
      case 'add': {
        const from = instruction.from === null ? null : this.#sourceOf(parsed, instruction.from);
        return copyStep(this.#place, state, { instruction, from });
      }
      case 'arg':
        this.#args.declare(instruction);
        return configStep(this.#place, state, instruction);
      default:
        return configStep(this.#place, state, instruction);
    }
  }

  #sourceOf(instruction: ParsedInstruction, name: string): StageSource {
    return sourceOf(this.#work.parsed, this.#work.planned.stage, instruction, name);
  }
}
