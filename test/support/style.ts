/**
 * What style.md asks of a text, as a pure function over files, so that the same rules judge the repository and the
 * offences planted in the test. Each offence names its cure. ESLint judges the syntax, dependency-cruiser the layers.
 */

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Offence {
  readonly path: string;
  readonly cure: string;
}

export function styleOffences(files: readonly SourceFile[]): readonly Offence[] {
  return files.flatMap((file) =>
    RULES.filter(({ applies, offends }) => applies.test(file.path) && offends(file)).map(({ cure }) => ({
      path: file.path,
      cure,
    })),
  );
}

interface Rule {
  readonly applies: RegExp;
  readonly offends: (file: SourceFile) => boolean;
  readonly cure: string;
}

/** A file longer than this has more than one thought: style.md, "Figures". */
const LINES_MAX = 400;
/** Nothing generated or binary belongs into the history. */
const FILE_BYTES_MAX = 1024 * 1024;

const DRAWER = /(^|\/)(lib|libs|utils?|helpers?|common|misc|shared|managers?)(\/|\.[cm]?[jt]s$)/i;
const EVERYWHERE = /^/;
const SOURCES = /^src\/.*\.ts$/;
const TYPESCRIPT = /^(src|test)\/.*\.ts$/;
const TESTS = /^test\/.*\.test\.ts$/;

const RULES: readonly Rule[] = [
  {
    applies: /^(src|test)\//,
    offends: ({ path }) => DRAWER.test(path),
    cure: 'A drawer: put each thing into the room that owns its noun, and name the file after that noun.',
  },
  {
    applies: SOURCES,
    offends: ({ text }) => text.split('\n').length - 1 > LINES_MAX,
    cure: `Longer than ${String(LINES_MAX)} lines: split it by verb or by thought.`,
  },
  {
    applies: TYPESCRIPT,
    offends: ({ path }) => !/(^|\/)[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|worker|d))?\.ts$/.test(path),
    cure: 'File names are kebab-case nouns or verbs.',
  },
  {
    applies: SOURCES,
    offends: ({ text }) => /\b(TODO|FIXME|XXX|HACK)\b/.test(text),
    cure: 'An unfinished mark: finish it, or refuse the case with a clear error and say so in SCOPE.md.',
  },
  {
    applies: SOURCES,
    offends: ({ text }) => /\/\/ *@ts-(ignore|nocheck)\b/.test(text),
    cure: 'The compiler is silenced: narrow the type where the value enters (api/wire, config, registry).',
  },
  {
    applies: SOURCES,
    offends: ({ text }) => /^\s*(\/\/|\*).*\b(used to be|was changed to|formerly)\b/im.test(text),
    cure: 'History in a comment: say what holds now and why; the commit keeps what was.',
  },
  {
    applies: TESTS,
    offends: ({ text }) => !/\bexpect\b|\bassert\b|contract/i.test(text),
    cure: 'A test file that asserts nothing: expect something of the result, or delete it.',
  },
  {
    applies: TESTS,
    offends: ({ text }) => /\b(it|test|describe)\.(only|todo)\b/.test(text),
    cure: 'A focused or to-do test: remove `.only`; write the `.todo` or leave it out.',
  },
  {
    applies: EVERYWHERE,
    offends: ({ text }) => Buffer.byteLength(text) > FILE_BYTES_MAX,
    cure: 'Larger than 1 MiB: make it at test time, or fetch it in test/run.',
  },
  {
    applies: /^package-lock\.json$/,
    offends: ({ text }) => text.includes('"resolved"'),
    cure: 'The lock file names a registry: run npm install with the .npmrc of this repository.',
  },
  {
    applies: /^package\.json$/,
    offends: ({ text }) => /"[\^~]\d/.test(text),
    cure: 'A version range: pin the exact version (npm install --save-exact).',
  },
];
