/** `moored check`: the store of the daemon that runs, asked through its API, or of one that does not, held meanwhile. */
import { SystemClock } from '../base/clock.ts';
import { DataLossError, messageOf, UnavailableError } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { configure } from '../config/command.ts';
import type { Config } from '../config/config.ts';
import type { StoreCheckOptions, StoreFinding, StoreReport } from '../engine/check/types.ts';
import { askDaemon } from './check-client.ts';
import { checkOffline } from './compose/store-check.ts';
import { createLinuxKernel } from './compose/ground.ts';
import { parseHosts } from './hosts.ts';
import { LiveConfig } from './live-config.ts';

const USAGE = `
Usage:  moored check [--deep] [--repair] [--json] [OPTIONS]

Verifies images, layers, blobs, names, containers and volumes below the data root, and finds what nobody needs. Asks the
daemon when one runs with these options; else looks itself, and no daemon can start meanwhile.

      --deep     Compare unpacked layers with their blobs, file by file
      --repair   Mend what can be mended, and remove what nobody needs
      --json     Findings and sum as one JSON document

Exit status: 0 nothing is wrong (any more), 1 something is, 2 it could not be checked.
`;

const CLEAN = 0;
const DAMAGED = 1;
const UNKNOWN = 2;
const DEFAULT_SOCKET = '/var/run/docker.sock';
const OWN_WORDS: ReadonlySet<string> = new Set(['--deep', '--repair', '--json']);

/** What the command works with. */
export interface CheckCommandIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly env: NodeJS.ProcessEnv;
}

/** Runs it; returns the exit status. */
export async function runCheck(argv: readonly string[], { stdout, stderr, env }: CheckCommandIo): Promise<number> {
  if (argv.includes('--help')) {
    stdout.write(USAGE);
    return CLEAN;
  }
  const words = argv.filter((word) => !OWN_WORDS.has(word));
  const configured = configure({ argv: words, environment: env, version: '' });
  if ('exitCode' in configured) {
    stdout.write(configured.stdout);
    stderr.write(configured.stderr);
    return configured.exitCode === 0 ? CLEAN : UNKNOWN;
  }
  const isJson = argv.includes('--json');
  const findings: StoreFinding[] = [];
  const onFinding = (finding: StoreFinding): void => {
    findings.push(finding);
    if (!isJson) stdout.write(`${textOf(finding)}\n`);
  };
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error('interrupted'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const [deep, repair] = [argv.includes('--deep'), argv.includes('--repair')];
    const report = await check(configured, { deep, repair, signal: stop.signal, onFinding });
    stdout.write(isJson ? `${JSON.stringify({ ...report, findings }, null, 2)}\n` : `${sumOf(report, findings)}\n`);
    return report.problems === 0 ? CLEAN : DAMAGED;
  } catch (error) {
    stderr.write(`moored check: ${messageOf(error)}\n`);
    return error instanceof DataLossError ? DAMAGED : UNKNOWN;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

type Answer = Pick<StoreReport, 'checked' | 'problems'>;

/** Whoever holds the state file's lock checks: we, or the daemon for us. */
async function check(config: Config, options: StoreCheckOptions): Promise<Answer> {
  const socket = socketOf(config);
  try {
    const parts = { kernel: createLinuxKernel(), clock: new SystemClock(), logger: silentLogger, version: '' };
    return await checkOffline({ ...parts, config: new LiveConfig(config) }, async (room) => room.run(options));
  } catch (error) {
    if (!(error instanceof UnavailableError) || !messageOf(error).includes('in use by another engine')) throw error;
    return askDaemon(socket, options, messageOf(error));
  }
}

function socketOf(config: Config): string {
  const hosts = parseHosts(config.get('host'), { tls: false });
  return hosts.flatMap((host) => (host.kind === 'unix' ? [host.path] : []))[0] ?? DEFAULT_SOCKET;
}

function textOf({ kind, subject, problem, sizeBytes, outcome, remedy }: StoreFinding): string {
  const size = sizeBytes === 0 ? '' : ` (${sizeText(sizeBytes)})`;
  const mark = outcome === 'repaired' ? 'repaired' : kind === 'leftover' ? 'leftover' : 'damaged';
  return `${mark.padEnd(8)}  ${kind === 'leftover' ? '' : `${kind} `}${subject}${size}: ${problem}; ${remedy}`;
}

function sumOf({ checked, problems }: Answer, findings: readonly StoreFinding[]): string {
  const { blobs, blobBytes, layers, images, containers, volumes } = checked;
  const repaired = findings.length - problems;
  const what =
    `${counted(blobs, 'blob')} (${sizeText(blobBytes)}), ${counted(layers, 'layer')}, ${counted(images, 'image')}, ` +
    `${counted(containers, 'container')}, ${counted(volumes, 'volume')}`;
  const verdict = problems === 0 ? 'nothing is wrong' : `${counted(problems, 'problem')} left`;
  return `Checked ${what}: ${verdict}${repaired === 0 ? '' : `, ${String(repaired)} repaired`}.`;
}

function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
