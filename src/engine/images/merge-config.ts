/** The configuration of an image that is made of a container, by dockerd's rules (daemon/commit.go). Pure. */
import type { HealthcheckConfig, ImageRunConfig } from '../oci/image-spec.ts';

/** What `own` leaves open is `base`'s: of lists and maps what `own` does not name. */
export function mergeConfig(own: ImageRunConfig, base: ImageRunConfig): ImageRunConfig {
  const healthcheck = mergedHealthcheck(own.Healthcheck ?? null, base.Healthcheck ?? null);
  const stopSignal = own.StopSignal === undefined || own.StopSignal === '' ? base.StopSignal : own.StopSignal;
  return {
    ...own,
    ...commandOf(own, base),
    User: chosen(own.User, base.User),
    WorkingDir: chosen(own.WorkingDir, base.WorkingDir),
    Env: mergedEnv(own.Env ?? [], base.Env ?? []),
    Labels: { ...base.Labels, ...own.Labels },
    ExposedPorts: { ...base.ExposedPorts, ...own.ExposedPorts },
    Volumes: { ...own.Volumes, ...base.Volumes },
    ...(stopSignal === undefined || stopSignal === '' ? {} : { StopSignal: stopSignal }),
    ...(healthcheck === null ? {} : { Healthcheck: healthcheck }),
  };
}

/** An entrypoint of its own stands without the container's command; a command of its own keeps the entrypoint. */
function commandOf(own: ImageRunConfig, base: ImageRunConfig): Pick<ImageRunConfig, 'Entrypoint' | 'Cmd'> {
  const [entrypoint, command] = [own.Entrypoint ?? null, own.Cmd ?? null];
  if (entrypoint !== null && entrypoint.length > 0) return { Entrypoint: entrypoint, Cmd: command };
  return {
    Entrypoint: entrypoint ?? base.Entrypoint ?? null,
    Cmd: command === null || command.length === 0 ? (base.Cmd ?? null) : command,
  };
}

function mergedEnv(own: readonly string[], base: readonly string[]): readonly string[] {
  const names = new Set(own.map(nameOf));
  return [...own, ...base.filter((entry) => !names.has(nameOf(entry)))];
}

function nameOf(entry: string): string {
  return entry.split('=', 1)[0] ?? entry;
}

function mergedHealthcheck(own: HealthcheckConfig | null, base: HealthcheckConfig | null): HealthcheckConfig | null {
  if (own === null || base === null) return own ?? base;
  const given = Object.entries(own).filter(([, value]) => value !== 0 && (!Array.isArray(value) || value.length > 0));
  return { ...base, ...(Object.fromEntries(given) as HealthcheckConfig) };
}

function chosen(own: string | undefined, base: string | undefined): string {
  return own === undefined || own === '' ? (base ?? '') : own;
}
