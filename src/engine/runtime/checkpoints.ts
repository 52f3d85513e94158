/**
 * Checkpoints of a container's processes, which the OCI runtimes leave to CRIU (https://criu.org).
 *
 * What is kept: memory and open files of the processes, in the *image path*. What is not: the container's files, which
 * stay where they are, its network, and what its tmpfs held in /dev/shm. The *work path* is CRIU's own, with its log.
 */
import { accessSync, constants, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CapturedRun } from '../kernel/kernel.ts';
import { lastMessage } from './errors.ts';

/** Where a checkpoint goes to or comes from; both directories exist. */
export interface CheckpointPlace {
  readonly imagePath: string;
  readonly workPath: string;
}

/** CRIU's log in the work path, by what it did. */
const LOGS = { checkpoint: 'dump.log', restore: 'restore.log' } as const;

/** Arguments of the runtimes' `checkpoint`, before the container's id. */
export function checkpointArguments({ imagePath, workPath }: CheckpointPlace, leaveRunning: boolean): string[] {
  return ['--image-path', imagePath, '--work-path', workPath, ...(leaveRunning ? ['--leave-running'] : [])];
}

/** What a runtime wrote when CRIU failed, with the first error of CRIU itself, since runtimes only name its log. */
export function checkpointFailure(stderr: string, workPath: string, verb: keyof typeof LOGS): string {
  const message = lastMessage(stderr);
  const reason = errorInLog(join(workPath, LOGS[verb]));
  return reason === null ? message : `${message}: ${reason}`;
}

/** What the obstacle to checkpoints is found out with. */
export interface CheckpointProbe {
  readonly runtimePath: string;
  readonly environment: Readonly<Record<string, string>>;
  run(program: string, args: readonly string[]): Promise<CapturedRun>;
}

/**
 * Why neither a checkpoint nor a restore can work on this host, or null. Asked each time: both are rare, and CRIU may be
 * installed meanwhile. Runtimes other than crun and runc have ways of their own.
 */
export async function obstacleToCheckpoints(probe: CheckpointProbe): Promise<string | null> {
  const runtime = basename(probe.runtimePath);
  if (runtime !== 'crun' && runtime !== 'runc') return null;
  if (runtime === 'crun') {
    const { stdout } = await probe.run(probe.runtimePath, ['--version']);
    if (!/\+CRIU\b/.test(stdout))
      return 'this crun was built without CRIU; containers of `--runtime runc` do not need it';
  }
  const criu = findIn(probe.environment['PATH'] ?? '', 'criu');
  if (criu === null) return 'criu is not installed';
  const check = await probe.run(criu, ['check']);
  return check.code === 0 ? null : `criu check: ${firstErrorOf(`${check.stderr}\n${check.stdout}`) ?? 'it failed'}`;
}

function findIn(searchPath: string, name: string): string | null {
  for (const directory of searchPath.split(':')) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** `Error (criu/vdso.c:381): vdso: Unexpected …` → `vdso: Unexpected …`; the first is the cause of those after it. */
function firstErrorOf(text: string): string | null {
  return /^(?:\([\d.]+\)\s*)?(?:\s*\d+: )?Error \([^)]*\): (.*)$/m.exec(text)?.[1]?.trim() ?? null;
}

function errorInLog(logPath: string): string | null {
  try {
    return firstErrorOf(readFileSync(logPath, 'utf8'));
  } catch {
    return null;
  }
}
