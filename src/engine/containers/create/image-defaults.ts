/** Fills in what the image says and the user did not; pure. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ContainerPort, PortProtocol } from '../../network/types.ts';
import type { HealthcheckConfig, ImageRunConfig } from '../../oci/image-spec.ts';
import type { ContainerSpec } from '../spec-types.ts';

/** The spec with the image's defaults, and the command that results. InvalidArgumentError when there is none. */
export function withImageDefaults(
  spec: ContainerSpec,
  image: ImageRunConfig,
): { readonly spec: ContainerSpec; readonly argv: readonly [string, ...string[]] } {
  const { entrypoint, command } = commandOf(spec, image);
  const [path, ...args] = [...(entrypoint ?? []), ...(command ?? [])];
  if (path === undefined) throw new InvalidArgumentError('no command specified');
  const merged: ContainerSpec = {
    ...spec,
    entrypoint,
    command,
    env: mergedEnv(spec.env, image.Env ?? []),
    labels: { ...image.Labels, ...spec.labels },
    user: spec.user === '' ? (image.User ?? '') : spec.user,
    workingDirectory: spec.workingDirectory === '' ? (image.WorkingDir ?? '') : spec.workingDirectory,
    exposedPorts: mergedPorts(spec.exposedPorts, Object.keys(image.ExposedPorts ?? {})),
    volumes: [...new Set([...spec.volumes, ...Object.keys(image.Volumes ?? {})])],
    stopSignal: spec.stopSignal ?? (image.StopSignal === '' ? null : (image.StopSignal ?? null)),
    healthcheck: mergedHealthcheck(spec.healthcheck, image.Healthcheck ?? null),
  };
  return { spec: merged, argv: [path, ...args] };
}

/**
 * Docker's rule: an entrypoint of the user's own, also an empty one (`[]`, `[""]`), puts the image's command aside as well.
 */
function commandOf(
  spec: ContainerSpec,
  image: ImageRunConfig,
): { readonly entrypoint: readonly string[] | null; readonly command: readonly string[] | null } {
  if (spec.entrypoint !== null) {
    const cleared = spec.entrypoint.length === 0 || (spec.entrypoint.length === 1 && spec.entrypoint[0] === '');
    return { entrypoint: cleared ? null : spec.entrypoint, command: spec.command };
  }
  const own = spec.command !== null && spec.command.length > 0;
  return { entrypoint: image.Entrypoint ?? null, command: own ? spec.command : (image.Cmd ?? null) };
}

/** The user's lines, then the image's whose name the user did not give: Docker's order in inspect. */
function mergedEnv(own: readonly string[], image: readonly string[]): readonly string[] {
  const names = new Set(own.map(nameOf));
  return [...own, ...image.filter((line) => !names.has(nameOf(line)))];
}

function nameOf(line: string): string {
  return line.split('=', 1)[0] ?? line;
}

function mergedPorts(own: readonly ContainerPort[], image: readonly string[]): readonly ContainerPort[] {
  const byName = new Map(own.map((port) => [`${String(port.port)}/${port.protocol}`, port]));
  for (const port of image.flatMap(parsePorts)) {
    const name = `${String(port.port)}/${port.protocol}`;
    if (!byName.has(name)) byName.set(name, port);
  }
  return [...byName.values()];
}

/** `80`, `80/tcp`, `8000-8010/udp`; what is no port in an image is left out, as Docker does. */
function parsePorts(text: string): readonly ContainerPort[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  if (match === null) return [];
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  const protocol = (match[3]?.toLowerCase() ?? 'tcp') as PortProtocol;
  if (last < first || last > 65_535) return [];
  return Array.from({ length: last - first + 1 }, (_, index) => ({ port: first + index, protocol }));
}

/** A check of the user's own inherits what it leaves at zero. */
function mergedHealthcheck(own: HealthcheckConfig | null, image: HealthcheckConfig | null): HealthcheckConfig | null {
  if (own === null) return image;
  const pick = (key: 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval' | 'Retries'): object => {
    const value = own[key] === undefined || own[key] === 0 ? image?.[key] : own[key];
    return value === undefined ? {} : { [key]: value };
  };
  const test = own.Test === undefined || own.Test === null || own.Test.length === 0 ? image?.Test : own.Test;
  return {
    ...(test === undefined ? {} : { Test: test }),
    ...pick('Interval'),
    ...pick('Timeout'),
    ...pick('StartPeriod'),
    ...pick('StartInterval'),
    ...pick('Retries'),
  };
}
