/** A Dockerfile's stages and instructions. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { LineFault, located, withForm } from './faults.ts';
import { readFlags } from './instructions/flags.ts';
import { readInstruction } from './instructions/read.ts';
import { readLines, type ReadLines, type ReadNode } from './lines.ts';
import type { Node } from './nodes.ts';
import { goQuote } from './text/go-quote.ts';
import type { ParsedDockerfile, ParsedInstruction, ParsedStage, SourceLine } from './types.ts';

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

/** InvalidArgumentError in Docker's words, with file, line and cure. */
export function parseDockerfile(text: string, fileName: string): ParsedDockerfile {
  if (text === '') {
    throw new InvalidArgumentError(`the Dockerfile (${fileName}) cannot be empty`);
  }
  const { nodes, escape, warnings } = linesOf(text, fileName);
  const globalArgs: ParsedInstruction[] = [];
  const stages: (ParsedStage & { readonly instructions: ParsedInstruction[] })[] = [];
  for (const read of nodes) {
    const line = sourceLine(read, fileName);
    const { node } = read;
    atInstruction(line, node.kind, () => {
      if (node.kind === 'from') {
        stages.push({ index: stages.length, line, instructions: [], ...readFrom(node) });
        return;
      }
      const instruction = instructionOf(read, line, escape);
      const stage = stages.at(-1);
      if (stage !== undefined) stage.instructions.push(instruction);
      else if (node.kind === 'arg') globalArgs.push(instruction);
      else throw new BeforeFirstStage();
    });
  }
  if (stages.length === 0) {
    throw new InvalidArgumentError(`dockerfile contains no stages to build (begin ${fileName} with FROM <image>)`);
  }
  return { escape, globalArgs, stages, warnings };
}

/**
 * What ONBUILD of a base image has kept, as instructions. InvalidArgumentError in Docker's words, which name the trigger.
 * `escape` is that of the Dockerfile at work: Docker's expansion goes by it.
 */
export function parseTriggers(
  triggers: readonly string[],
  escape: ParsedDockerfile['escape'],
): readonly ParsedInstruction[] {
  return triggers.map((text) => {
    const name = `ONBUILD ${text.split('\n', 1)[0] ?? ''}`;
    const [read, ...more] = linesOf(text, name).nodes;
    if (read === undefined || more.length > 0) {
      throw new InvalidArgumentError(`onbuild trigger should be a single expression [${name}]`);
    }
    const line = sourceLine(read, name);
    const { kind, keyword } = read.node;
    return atInstruction(line, kind, () => {
      if (kind === 'from' || kind === 'onbuild' || kind === 'maintainer') {
        throw new InvalidArgumentError(`${keyword.toUpperCase()} isn't allowed as an ONBUILD trigger`);
      }
      return instructionOf(read, line, escape);
    });
  });
}

class BeforeFirstStage extends InvalidArgumentError {
  constructor() {
    super('no build stage in current context');
  }
}

function linesOf(text: string, fileName: string): ReadLines {
  try {
    return readLines(text);
  } catch (error) {
    if (!(error instanceof LineFault)) throw error;
    const message = `failed to parse ${fileName}: ${withForm(error.message, error.keyword)}`;
    throw new InvalidArgumentError(located(message, { file: fileName, start: error.line }), { cause: error });
  }
}

function sourceLine({ node, start, end }: ReadNode, file: string): SourceLine {
  return { file, start, end, text: node.text };
}

function instructionOf({ node, heredocs }: ReadNode, line: SourceLine, escape: string): ParsedInstruction {
  const { kind, needs, declares = [], expand } = readInstruction({ node, heredocs, escape });
  return {
    kind,
    line,
    needs,
    declares,
    expand: (environment) => {
      try {
        return { line, ...expand(environment) };
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        throw new InvalidArgumentError(located(error.message, line), { cause: error });
      }
    },
  };
}

/** Does `work`, and says of its fault where it is. */
function atInstruction<T>(line: SourceLine, keyword: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const isPlain = error instanceof BeforeFirstStage;
    const message = isPlain
      ? `${error.message} (begin with FROM <image>)`
      : `dockerfile parse error on line ${String(line.start)}: ${withForm(error.message, keyword)}`;
    throw new InvalidArgumentError(located(message, line), { cause: error });
  }
}

function readFrom({ args, flags }: Node): Pick<ParsedStage, 'name' | 'base' | 'platform'> {
  const [base, as, written] = args;
  const isNamed = args.length === 3 && as?.toLowerCase() === 'as';
  if (base === undefined || (args.length !== 1 && !isNamed)) {
    throw new InvalidArgumentError('FROM requires either one or three arguments');
  }
  const name = isNamed ? (written ?? '').toLowerCase() : null;
  if (name !== null && !STAGE_NAME.test(name)) {
    throw new InvalidArgumentError(
      `invalid name for build stage: ${goQuote(written ?? '')}, name can't start with a number or contain symbols`,
    );
  }
  const platform = readFlags(flags, { platform: 'text' }).text('platform');
  return { name, base, platform: platform === '' ? null : platform };
}
