/** conmon's command line. */
import { readFileSync } from 'node:fs';
import type { CheckpointPlace } from '../checkpoints.ts';
import type { JournalFields } from '../monitor.ts';
import type { OciRuntime } from '../runtime.ts';

/** What differs between a container's monitor and an exec's. */
export interface MonitorCommand {
  readonly conmonPath: string;
  readonly runtime: OciRuntime;
  readonly containerId: string;
  /** Names this monitored process: the container's id, or the exec's. */
  readonly unique: string;
  /** Where conmon makes `attach`, `ctl` and `winsz`; for a container also where the runtime finds config.json. */
  readonly bundlePath: string;
  /** Run directory: pid files; conmon's working directory, where it leaves `oom`. */
  readonly runPath: string;
  readonly exitsPath: string | null;
  readonly logPath: string | null;
  readonly journal?: JournalFields | null;
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly keepStdinOpen: boolean;
  /** Null: a new process is made. */
  readonly restore?: CheckpointPlace | null;
  readonly exec: { readonly processPath: string; readonly attachFirst: boolean } | null;
}

/** File names in a run directory. */
export const MONITOR_PID_FILE = 'conmon.pid';
export const PROCESS_PID_FILE = 'pid';
export const OOM_FILE = 'oom';
export const RUNTIME_LOG_FILE = 'runtime.log';

export function conmonArguments(command: MonitorCommand): [string, ...string[]] {
  const { runtime, exec, restore = null } = command;
  return [
    command.conmonPath,
    '--api-version=1',
    `--cid=${command.containerId}`,
    `--cuuid=${command.unique}`,
    `--bundle=${command.bundlePath}`,
    `--conmon-pidfile=${command.runPath}/${MONITOR_PID_FILE}`,
    `--container-pidfile=${command.runPath}/${PROCESS_PID_FILE}`,
    // Without both, conmon 2.1.6 ends without a word.
    '--full-attach',
    `--socket-dir-path=${command.runPath}`,
    `--log-path=${command.logPath === null ? 'none' : `k8s-file:${command.logPath}`}`,
    ...journalArguments(command.journal ?? null),
    '--log-level=warn',
    // A log is as durable as any file a container writes; an fsync at each exit is not worth its milliseconds.
    '--no-sync-log',
    `--runtime=${runtime.program.path}`,
    ...runtime.program.globalArguments.map((argument) => `--runtime-arg=${argument}`),
    // crun tells why an exec failed on the new terminal, where nobody reads it any more.
    ...(exec !== null && command.terminal ? [`--runtime-arg=--log=${command.runPath}/${RUNTIME_LOG_FILE}`] : []),
    ...(command.exitsPath === null ? [] : [`--exit-dir=${command.exitsPath}`]),
    ...(command.terminal ? ['--terminal'] : []),
    ...(command.stdin ? ['--stdin'] : []),
    // A terminal's input has no end: a client that detaches must leave it usable for the next.
    ...(command.stdin && (command.keepStdinOpen || command.terminal) ? ['--leave-stdin-open'] : []),
    ...(restore === null ? [] : [`--restore=${restore.imagePath}`, ...workPathArguments(restore)]),
    ...(exec === null ? [] : ['--exec', `--exec-process-spec=${exec.processPath}`]),
    ...(exec?.attachFirst === true ? ['--exec-attach'] : []),
  ];
}

/** conmon hands them on to the runtime's `restore`, each word by itself. */
function workPathArguments({ workPath }: CheckpointPlace): readonly string[] {
  return ['--work-path', workPath].map((word) => `--runtime-opt=${word}`);
}

/** True when this conmon can put fields of ours into the journal; an older one ends at the unknown option. */
export function knowsLogLabels(conmonPath: string): boolean {
  try {
    return readFileSync(conmonPath).includes('log-label');
  } catch {
    return false;
  }
}

/** It sets CONTAINER_ID, CONTAINER_ID_FULL, PRIORITY and CONTAINER_PARTIAL_MESSAGE by itself. */
function journalArguments(journal: JournalFields | null): readonly string[] {
  if (journal === null) return [];
  const { name, tag, fields } = journal;
  const labels = Object.entries(fields).map(([field, value]) => `--log-label=${field}=${value}`);
  return ['--log-path=journald', `--name=${name}`, `--log-tag=${tag}`, ...labels];
}
