/** The daemon's start as far as configuration goes: serve, or `--validate`, `config show`, and the answer to bad input. */
import { loadConfig, type Config, type ConfigSources } from './config.ts';
import { PrintAndExit } from './help.ts';
import { formatProblem, type ConfigProblem } from './origin.ts';
import { showAsJson, showAsTable } from './show.ts';
import { refusalFor, validateConfig, verdictOn, type Verdict } from './validate.ts';

/** What a command that ends at once says, and its exit code. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const USAGE = `
Usage:  moored config show [--all] [--json] [OPTIONS]

What the daemon would run with, given these options: each key's value, where it comes from, what it overrides, and
whether a reload applies it.

      --all    Options that nothing sets as well
      --json   As JSON, with all options
`;

/** The configuration to serve with, or what to say instead of serving. */
export function configure(sources: ConfigSources): Config | Outcome {
  const [word, ...words] = sources.argv;
  try {
    if (word === 'config') return configCommand({ ...sources, argv: words });
    const config = loadConfig(sources);
    if (!config.validateOnly) return config;
    const verdict = verdictOn(config);
    if (verdict.refusal !== null) return refused(verdict);
    return { exitCode: 0, stdout: '', stderr: `${list(verdict.problems)}configuration OK\n` };
  } catch (error) {
    if (error instanceof PrintAndExit) return { exitCode: 0, stdout: error.message, stderr: '' };
    return refused(refusalFor(error));
  }
}

/** `moored config …` */
function configCommand(sources: ConfigSources): Outcome {
  const [verb, ...words] = sources.argv;
  if (verb === undefined || verb.startsWith('-') || words.includes('--help')) {
    return { exitCode: 0, stdout: USAGE, stderr: '' };
  }
  if (verb !== 'show')
    return { exitCode: 1, stdout: '', stderr: `moored config: '${verb}' is not a command\n${USAGE}` };
  const argv = words.filter((word) => word !== '--all' && word !== '--json');
  const verdict = validateConfig({ ...sources, argv });
  if (verdict.config === null) return refused(verdict);
  const stdout = words.includes('--json')
    ? showAsJson(verdict.config, verdict.problems)
    : showAsTable(verdict.config, verdict.problems, words.includes('--all'));
  return { exitCode: 0, stdout, stderr: '' };
}

function refused({ refusal, problems }: Verdict): Outcome {
  // Without a file dockerd's text has said it all; and what it names by file and line is not said twice.
  const placed = problems.filter(
    (problem) => (problem.file !== null || problem.cure !== '') && !(refusal ?? '').includes(formatProblem(problem)),
  );
  return { exitCode: 1, stdout: '', stderr: `${refusal ?? ''}\n${list(placed)}` };
}

function list(problems: readonly ConfigProblem[]): string {
  return problems.map((problem) => `${problem.severity}: ${formatProblem(problem)}\n`).join('');
}
