/**
 * The Dockerfile language: text in, typed instructions out. Pure: nothing is read, nothing is run. The text of every error
 * is Docker's, and names file and line.
 *
 * Vocabulary: a *stage* is what stands between one FROM and the next; an *instruction* is one of its lines, with its
 * continuation lines and heredocs; *expansion* puts the values of ARG and ENV in the places of `$name`.
 *
 * Story: `parseDockerfile(text, 'Dockerfile')` gives stages of unexpanded instructions; `planStages` chooses those that
 * the target needs and in what order; before each step `expandInstruction(instruction, environment)` gives what is done.
 */
import type { HealthcheckConfig } from '../oci/image-spec.ts';

/** Where an instruction stands, for errors and for the line `Step 1/3 : …`. */
export interface SourceLine {
  readonly file: string;
  /** First and last, from 1 on. */
  readonly start: number;
  readonly end: number;
  /** As Docker prints it: keyword, flags and the rest, continuation lines joined. */
  readonly text: string;
}

/** `<<EOF`: its content is a file (COPY, ADD) or a script (RUN). */
export interface Heredoc {
  readonly name: string;
  readonly content: string;
  /** False where the name was quoted. */
  readonly expands: boolean;
}

/** A command in its shell form (one text) or its exec form (words). */
export type CommandForm =
  | { readonly kind: 'shell'; readonly text: string; readonly heredocs: readonly Heredoc[] }
  | { readonly kind: 'exec'; readonly words: readonly string[] };

/** One `RUN --mount=…`. */
export type RunMount =
  | {
      readonly kind: 'bind';
      /** Stage by name or number, or image; null: the build context. */
      readonly from: string | null;
      readonly source: string;
      readonly target: string;
      /** What is written is thrown away. */
      readonly readWrite: boolean;
    }
  | {
      readonly kind: 'cache';
      /** The target where none was given. */
      readonly id: string;
      readonly from: string | null;
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly sharing: 'shared' | 'private' | 'locked';
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }
  | {
      readonly kind: 'secret' | 'ssh';
      readonly id: string;
      /** Null: none (a secret that is a variable alone). */
      readonly target: string | null;
      /** Variable that holds it (secrets). */
      readonly env: string | null;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** What COPY and ADD have in common. */
export interface CopyWords {
  readonly sources: readonly string[];
  readonly heredocs: readonly Heredoc[];
  readonly destination: string;
  /** COPY: stage by name or number, or image; null: the build context. */
  readonly from: string | null;
  readonly chown: string | null;
  readonly chmod: string | null;
  readonly link: boolean;
  readonly parents: boolean;
  readonly excludes: readonly string[];
  /** ADD. */
  readonly checksum: string | null;
  readonly keepGitDir: boolean;
  /** ADD: whether archives are unpacked; null: as their place says (local ones are, downloads are not). */
  readonly unpack: boolean | null;
}

/** An instruction whose words are what they will be. */
export type Instruction = { readonly line: SourceLine } & (
  | {
      readonly kind: 'run';
      readonly command: CommandForm;
      readonly mounts: readonly RunMount[];
      readonly network: 'default' | 'none' | 'host';
      readonly security: 'sandbox' | 'insecure';
    }
  | ({ readonly kind: 'copy' | 'add' } & CopyWords)
  | { readonly kind: 'env' | 'label'; readonly pairs: readonly (readonly [string, string])[] }
  /** A null value: none was given. */
  | { readonly kind: 'arg'; readonly pairs: readonly (readonly [string, string | null])[] }
  | { readonly kind: 'workdir'; readonly path: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'cmd' | 'entrypoint'; readonly command: CommandForm }
  | { readonly kind: 'expose'; readonly ports: readonly string[] }
  | { readonly kind: 'volume'; readonly paths: readonly string[] }
  | { readonly kind: 'shell'; readonly words: readonly string[] }
  | { readonly kind: 'stopsignal'; readonly signal: string }
  /** Null: `HEALTHCHECK NONE`. */
  | { readonly kind: 'healthcheck'; readonly check: HealthcheckConfig }
  | { readonly kind: 'onbuild'; readonly trigger: string }
  | { readonly kind: 'maintainer'; readonly name: string }
);

export type InstructionKind = Instruction['kind'];

/** An instruction as it stands in the file: checked as far as that goes without values. */
export interface ParsedInstruction {
  readonly kind: InstructionKind;
  readonly line: SourceLine;
  /** Stage or image names of `--from=`, in COPY and in `RUN --mount`, as far as no variable is in them. */
  readonly needs: readonly string[];
  /** Names that an ARG declares, as they stand. */
  readonly declares: readonly string[];
  /** Gives the words their values. InvalidArgumentError in Docker's words. `environment` is the stage's ARG and ENV. */
  expand(environment: ReadonlyMap<string, string>): Instruction;
}

export interface ParsedStage {
  /** From 0 on. */
  readonly index: number;
  /** `AS name`, lower case; null: none. */
  readonly name: string | null;
  readonly line: SourceLine;
  /** Image, stage or `scratch`, with variables. */
  readonly base: string;
  /** `--platform=`, with variables; null: none. */
  readonly platform: string | null;
  readonly instructions: readonly ParsedInstruction[];
}

export interface ParsedDockerfile {
  readonly escape: '\\' | '`';
  /** ARG before the first FROM. */
  readonly globalArgs: readonly ParsedInstruction[];
  readonly stages: readonly ParsedStage[];
  /** In Docker's words. */
  readonly warnings: readonly string[];
}
