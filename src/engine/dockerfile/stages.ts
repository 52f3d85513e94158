import { InvalidArgumentError } from '../../base/errors.ts';
import { located } from './faults.ts';
import { expandWord, type Environment } from './text/expansion.ts';
import { goQuote } from './text/go-quote.ts';
import { withSuggestion } from './text/suggestion.ts';
import type { ParsedDockerfile, ParsedInstruction, ParsedStage } from './types.ts';

/** What a name stands for in FROM, in `COPY --from` and in `RUN --mount=from=…`. */
export type StageSource =
  | { readonly kind: 'stage'; readonly index: number }
  | { readonly kind: 'image'; readonly reference: string }
  /** Nothing to begin with. */
  | { readonly kind: 'scratch' };

export interface PlannedStage {
  readonly stage: ParsedStage;
  readonly base: StageSource;
  /** `--platform=`, with values; null: none. */
  readonly platform: string | null;
  /** What its instructions take files from, by the names that they use ({@link ParsedInstruction.needs}). */
  readonly sources: ReadonlyMap<string, StageSource>;
}

export interface StagePlan {
  /** The target and what it stands on, in the file's order. */
  readonly stages: readonly PlannedStage[];
  readonly target: ParsedStage;
}

/**
 * Chooses the stages that the target needs. `globals` are the values for FROM lines. InvalidArgumentError for a target or
 * stage that is not there, comes later, or is the stage itself.
 */
export function planStages(
  parsed: ParsedDockerfile,
  { target, globals }: { readonly target: string; readonly globals: Environment },
): StagePlan {
  const last = targetOf(parsed, target);
  refuseDoubleNames(parsed.stages.slice(0, last.index + 1));
  const planned = new Map<number, PlannedStage>();
  // From the target backwards: what a stage stands on comes before it.
  const wanted = new Set([last.index]);
  for (const stage of parsed.stages.slice(0, last.index + 1).toReversed()) {
    if (!wanted.has(stage.index)) continue;
    const plan = planStage(parsed, stage, globals);
    planned.set(stage.index, plan);
    for (const source of [plan.base, ...plan.sources.values()]) {
      if (source.kind === 'stage') wanted.add(source.index);
    }
  }
  return { stages: [...planned.values()].toReversed(), target: last };
}

/** What `name` means in an instruction of `stage`: an earlier stage by name or number, or an image. */
export function sourceOf(
  parsed: ParsedDockerfile,
  stage: ParsedStage,
  instruction: ParsedInstruction,
  name: string,
): StageSource {
  const fault = (message: string): InvalidArgumentError => new InvalidArgumentError(located(message, instruction.line));
  const named = stageNamed(parsed, name, stage.index);
  if (named !== undefined) return { kind: 'stage', index: named.index };
  if (/^[+-]?\d+$/.test(name)) {
    const index = Number(name);
    if (index === stage.index) throw fault(`invalid from flag value ${name}: refers to current build stage`);
    if (index < 0 || index > stage.index) throw fault(`invalid from flag value ${name}: index out of bounds`);
    return { kind: 'stage', index };
  }
  const wanted = name.toLowerCase();
  if (stage.name === wanted) throw fault(`circular dependency detected on stage: ${wanted}`);
  const later = parsed.stages.find((other) => other.index > stage.index && other.name === wanted);
  if (later !== undefined) {
    throw fault(
      `cannot copy from stage ${goQuote(name)}, it needs to be defined before current stage ${goQuote(shownName(stage))}`,
    );
  }
  return wanted === 'scratch' ? { kind: 'scratch' } : { kind: 'image', reference: name };
}

function planStage(parsed: ParsedDockerfile, stage: ParsedStage, globals: Environment): PlannedStage {
  const expand = (word: string): string => {
    try {
      return expandWord(word, globals, parsed.escape);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InvalidArgumentError(located(error.message, stage.line), { cause: error });
    }
  };
  const base = expand(stage.base);
  if (base === '') {
    const message = `base name (${stage.base}) should not be blank (give its ARG a default before the first FROM)`;
    throw new InvalidArgumentError(located(message, stage.line));
  }
  const platform = stage.platform === null ? null : expand(stage.platform);
  if (platform === '') {
    const message = `empty platform value from expression ${stage.platform ?? ''}`;
    throw new InvalidArgumentError(located(message, stage.line));
  }
  const sources = stage.instructions.flatMap((instruction) =>
    instruction.needs.map((name) => [name, sourceOf(parsed, stage, instruction, name)] as const),
  );
  return { stage, base: baseOf(parsed, stage, base), platform, sources: new Map(sources) };
}

function baseOf(parsed: ParsedDockerfile, stage: ParsedStage, name: string): StageSource {
  const named = stageNamed(parsed, name, stage.index);
  if (named !== undefined) return { kind: 'stage', index: named.index };
  return name === 'scratch' ? { kind: 'scratch' } : { kind: 'image', reference: name };
}

function stageNamed(parsed: ParsedDockerfile, name: string, before: number): ParsedStage | undefined {
  const wanted = name.toLowerCase();
  return parsed.stages.slice(0, before).find((stage) => stage.name === wanted);
}

function targetOf({ stages }: ParsedDockerfile, target: string): ParsedStage {
  const named =
    target === ''
      ? stages.at(-1)
      : (stages.find(({ name }) => name === target.toLowerCase()) ?? numbered(stages, target));
  if (named !== undefined) return named;
  const names = stages.flatMap(({ name }) => name ?? []);
  throw new InvalidArgumentError(withSuggestion(`target stage ${goQuote(target)} could not be found`, target, names));
}

function numbered(stages: readonly ParsedStage[], text: string): ParsedStage | undefined {
  return /^\d+$/.test(text) ? stages[Number(text)] : undefined;
}

function refuseDoubleNames(stages: readonly ParsedStage[]): void {
  const names = new Set<string>();
  for (const { name, line } of stages) {
    if (name === null) continue;
    if (names.has(name)) throw new InvalidArgumentError(located(`${name} stage name already used`, line));
    names.add(name);
  }
}

function shownName({ name, index }: ParsedStage): string {
  return name ?? `stage-${String(index)}`;
}
