import type { Timestamp } from '../../../base/clock.ts';
import type { ContainerState, ContainerView, LastExit } from '../../../engine/index.ts';
import { namedPath, pathOf } from '../../names.ts';
import { usecOf } from '../../bus/times.ts';

/** What the mirror knows beside the view. */
export interface MirroredFacts {
  /** Path of the image's object; `/` when the image is gone. */
  readonly imagePath: string;
  /** Bytes of the writable layer when they were last counted; 0 before. */
  readonly sizeRwBytes: number;
}

/** Every property of a container. */
export function propertiesOf(view: ContainerView, facts: MirroredFacts): Readonly<Record<string, unknown>> {
  const { state, spec } = view;
  const last = lastExitOf(state);
  const isLive = 'pid' in state;
  return {
    Id: view.id,
    Name: view.name,
    ImageReference: spec.image,
    Image: facts.imagePath,
    State: state.status,
    Health: view.health?.status ?? 'none',
    Pid: isLive ? state.pid : 0,
    ExitCode: isLive ? 0 : state.status === 'created' ? state.exitCode : (last?.exitCode ?? 0),
    OOMKilled: !isLive && (last?.oomKilled ?? false),
    RestartCount: state.status === 'created' ? 0 : state.restartCount,
    RestartPolicy: restartPolicyText(view),
    CreatedAt: usecOf(view.createdAt),
    StartedAt: usecOf(isLive ? state.startedAt : (last?.startedAt ?? NEVER)),
    FinishedAt: usecOf(last?.finishedAt ?? NEVER),
    Tty: spec.terminal,
    ControlGroup: view.cgroupPath ?? '',
    Unit: view.unit ?? '',
    LogDriver: view.logDriver,
    Networks: view.endpoints.map(({ networkId }) => pathOf('network', networkId)),
    Volumes: [...new Set(view.mounts.flatMap(volumePath))],
    PublishedPorts: publishedPortsOf(view),
    SizeRw: facts.sizeRwBytes,
  };
}

/** `a(sqqs)`: host address, host port, container port, protocol. */
export function publishedPortsOf({ endpoints }: ContainerView): readonly (readonly unknown[])[] {
  return endpoints.flatMap(({ publishedPorts }) =>
    publishedPorts.map(({ hostIp, hostPort, container }) => [hostIp, hostPort, container.port, container.protocol]),
  );
}

/** `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:5`: what the typed configuration takes. */
export function restartPolicyText({ spec }: ContainerView): string {
  const { name, maximumRetryCount } = spec.host.restartPolicy;
  return maximumRetryCount === 0 ? name : `${name}:${String(maximumRetryCount)}`;
}

const NEVER = 0n as Timestamp;

function lastExitOf(state: ContainerState): LastExit | null {
  return state.status === 'created' ? null : state.lastExit;
}

function volumePath({ kind, name }: ContainerView['mounts'][number]): readonly string[] {
  return kind === 'volume' && name !== null ? [namedPath('volume', name)] : [];
}
