import type { ContainerPort } from '../../network/types.ts';
import type { ImageRunConfig } from '../../oci/image-spec.ts';
import type { ContainerSpec } from '../spec-types.ts';

/**
 * How a container is configured, as Docker keeps it with an image that was made of it. To what its client was once
 * attached is no property of an image.
 */
export function runConfigOf(spec: ContainerSpec): ImageRunConfig {
  return {
    Hostname: spec.hostname,
    Domainname: spec.domainname,
    User: spec.user,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ExposedPorts: Object.fromEntries(spec.exposedPorts.map((port) => [portText(port), {}])),
    Tty: spec.terminal,
    OpenStdin: spec.openStdin,
    StdinOnce: spec.stdinOnce,
    Env: spec.env,
    Cmd: spec.command,
    ...(spec.healthcheck === null ? {} : { Healthcheck: spec.healthcheck }),
    Image: spec.image,
    Volumes: Object.fromEntries(spec.volumes.map((path) => [path, {}])),
    WorkingDir: spec.workingDirectory,
    Entrypoint: spec.entrypoint,
    NetworkDisabled: spec.networkDisabled,
    MacAddress: spec.macAddress ?? '',
    Labels: spec.labels,
    ...(spec.stopSignal === null ? {} : { StopSignal: spec.stopSignal }),
    ...(spec.stopTimeoutSeconds === null ? {} : { StopTimeout: spec.stopTimeoutSeconds }),
  };
}

function portText({ port, protocol }: ContainerPort): string {
  return `${String(port)}/${protocol}`;
}
