import type { ContainerId, ExecId } from '../../../base/ids.ts';
import type { Task } from '../../runtime/monitor.ts';
import { NO_KEYS, parseDetachKeys } from '../streams/detach-keys.ts';
import type { ExecSpec, ExecView } from '../types.ts';

/** An exec goes through these once, in order. */
export type ExecState =
  | { readonly kind: 'created' }
  | { readonly kind: 'starting' }
  | { readonly kind: 'running'; readonly task: Task }
  | { readonly kind: 'ended'; readonly exitCode: number; readonly pid: number };

/** One exec; kept in memory only, as Docker does. */
export interface Exec {
  readonly id: ExecId;
  readonly containerId: ContainerId;
  readonly spec: ExecSpec;
  state: ExecState;
  /** Settles when it runs or has ended without. */
  readonly settled: PromiseWithResolvers<void>;
}

export function viewOfExec(exec: Exec): ExecView {
  const { state } = exec;
  return {
    id: exec.id,
    containerId: exec.containerId,
    spec: exec.spec,
    running: state.kind === 'running' || state.kind === 'starting',
    exitCode: state.kind === 'ended' ? state.exitCode : null,
    detachSequence: exec.spec.detachKeys === null ? NO_KEYS : parseDetachKeys(exec.spec.detachKeys),
    pid: state.kind === 'running' ? state.task.pid : state.kind === 'ended' ? state.pid : 0,
  };
}
