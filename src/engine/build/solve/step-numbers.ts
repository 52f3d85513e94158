import type { PlannedStage, StagePlan } from '../../dockerfile/stages.ts';
import type { ParsedDockerfile, ParsedInstruction, SourceLine } from '../../dockerfile/types.ts';
import type { BuildMessage } from '../types.ts';

/** `Step 2/5 : …`: all steps that are done, in the file's order. */
export class StepNumbers {
  readonly #numbers: ReadonlyMap<SourceLine, number>;

  constructor(
    { globalArgs }: ParsedDockerfile,
    { stages }: StagePlan,
    instructionsOf: (stage: PlannedStage) => readonly ParsedInstruction[],
  ) {
    const lines = [
      ...globalArgs.map(({ line }) => line),
      ...stages.flatMap((planned) => [planned.stage.line, ...instructionsOf(planned).map(({ line }) => line)]),
    ];
    this.#numbers = new Map(lines.map((line, index) => [line, index + 1]));
  }

  messagesOf(line: SourceLine): readonly BuildMessage[] {
    const number = this.#numbers.get(line) ?? 0;
    const total = this.#numbers.size;
    const text = `Step ${String(number)}/${String(total)} : ${line.text}\n`;
    return [
      { kind: 'step', number, total, text: line.text },
      { kind: 'stream', text },
    ];
  }
}
