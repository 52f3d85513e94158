/** `moored migrate-storage`: moves images' layers and containers to another storage driver while no daemon runs. */
import { SystemClock } from '../base/clock.ts';
import { DataLossError, messageOf } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { configure } from '../config/command.ts';
import type { MigrationReport, MigrationStep } from '../engine/migration/types.ts';
import type { CheckCommandIo } from './check-command.ts';
import { createLinuxKernel } from './compose/ground.ts';
import { migrateOffline } from './compose/store-migration.ts';
import { LiveConfig } from './live-config.ts';

const USAGE = `
Usage:  moored migrate-storage --to DRIVER [--remove-old] [--force] [--json] [OPTIONS]

Moves layers and containers from the storage drivers that have them to another one, without pulling anything again. The
daemon must not run, and cannot start meanwhile; containers must be stopped. Run it again when it was interrupted. The old
data stays until --remove-old.

      --to DRIVER    btrfs, devicemapper, overlay2 or vfs
      --remove-old   Delete what the other drivers still have once everything is moved
      --force        Begin even when there seems to be too little room
      --json         Steps and sum as one JSON document

Exit status: 0 everything is moved, 1 something could not be, 2 nothing could be done.
`;

const OWN_FLAGS = ['--remove-old', '--force', '--json'];
const MOVED = 0;
const INCOMPLETE = 1;
const UNDONE = 2;

/** Runs it; returns the exit status. */
export async function runMigration(argv: readonly string[], io: CheckCommandIo): Promise<number> {
  const { stdout, stderr, env } = io;
  if (argv.includes('--help')) {
    stdout.write(USAGE);
    return MOVED;
  }
  const { target, removeOld, force, isJson, words } = read(argv);
  if (target === null) {
    stderr.write('moored migrate-storage: --to DRIVER is missing\n');
    return UNDONE;
  }
  // The driver that it names, be it the old one or already the new, is not asked.
  const configured = configure({ argv: words, environment: env, version: '' });
  if ('exitCode' in configured) {
    stdout.write(configured.stdout);
    stderr.write(configured.stderr);
    return configured.exitCode === 0 ? MOVED : UNDONE;
  }
  const steps: MigrationStep[] = [];
  const onStep = (step: MigrationStep): void => {
    steps.push(step);
    if (!isJson) stdout.write(`${textOf(step)}\n`);
  };
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error('interrupted: run it again to go on'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const parts = { kernel: createLinuxKernel(), clock: new SystemClock(), logger: silentLogger, version: '' };
    const report = await migrateOffline({ ...parts, config: new LiveConfig(configured) }, target, async (migration) =>
      migration.run({ removeOld, force, signal: stop.signal, onStep }),
    );
    stdout.write(isJson ? `${JSON.stringify({ ...report, steps }, null, 2)}\n` : `${sumOf(report, target)}\n`);
    return report.failures === 0 ? MOVED : INCOMPLETE;
  } catch (error) {
    stderr.write(`moored migrate-storage: ${messageOf(error)}\n`);
    return error instanceof DataLossError ? INCOMPLETE : UNDONE;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

interface Asked {
  readonly target: string | null;
  readonly removeOld: boolean;
  readonly force: boolean;
  readonly isJson: boolean;
  /** The daemon's options. */
  readonly words: readonly string[];
}

function read(argv: readonly string[]): Asked {
  const words: string[] = [];
  let target: string | null = null;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--to') target = argv[(at += 1)] ?? null;
    else if (word.startsWith('--to=')) target = word.slice('--to='.length);
    else if (!OWN_FLAGS.includes(word)) words.push(word);
  }
  const [removeOld, force, isJson] = OWN_FLAGS.map((flag) => argv.includes(flag));
  return { target, removeOld: removeOld === true, force: force === true, isJson: isJson === true, words };
}

function textOf({ kind, subject, outcome, detail }: MigrationStep): string {
  return `${outcome.padEnd(7)}  ${kind.replace('-', ' ')} ${subject}: ${detail}`;
}

function sumOf({ layers, containers, failures }: MigrationReport, target: string): string {
  const what = `${counted(layers, 'layer')} and ${counted(containers, 'container')} moved to ${target}`;
  return failures === 0 ? `${what}.` : `${what}; ${String(failures)} could not be: see above.`;
}

function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}
