import type { ImageRunConfig } from '../oci/image-spec.ts';

type Field = readonly [name: keyof ImageRunConfig, whenAbsent?: unknown];

/** Docker's `container.Config` in Go's order, with what Go writes for a field that is not there; nothing: left out. */
const FIELDS: readonly Field[] = [
  ['Hostname', ''],
  ['Domainname', ''],
  ['User', ''],
  ['AttachStdin', false],
  ['AttachStdout', false],
  ['AttachStderr', false],
  ['ExposedPorts'],
  ['Tty', false],
  ['OpenStdin', false],
  ['StdinOnce', false],
  ['Env', null],
  ['Cmd', null],
  ['Healthcheck'],
  ['ArgsEscaped'],
  ['Image', ''],
  ['Volumes', null],
  ['WorkingDir', ''],
  ['Entrypoint', null],
  ['NetworkDisabled'],
  ['MacAddress'],
  ['OnBuild', null],
  ['Labels', null],
  ['StopSignal'],
  ['StopTimeout'],
  ['Shell'],
];

/** A configuration as dockerd writes it into an image: the same words give the same bytes. */
export function configDocument(config: ImageRunConfig): ImageRunConfig {
  const entries = FIELDS.flatMap(([name, whenAbsent]): (readonly [string, unknown])[] => {
    const value = config[name] ?? whenAbsent;
    if (value === undefined) return [];
    if (whenAbsent === undefined && isNothing(value)) return [];
    return [[name, name === 'Volumes' && isNothing(value) ? null : value]];
  });
  return Object.fromEntries(entries);
}

/** Go's `omitempty`. */
function isNothing(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === '' || value === false || value === 0;
}
