import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { JsonObject } from '../base/json.ts';
import { ExitError } from './errors.ts';

/** What `moor run` was asked for. */
export interface RunOptions {
  readonly detach?: boolean;
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly rm?: boolean;
  readonly name?: string;
  readonly env: readonly string[];
  readonly envFile: readonly string[];
  readonly volume: readonly string[];
  readonly publish: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly network?: string;
  readonly entrypoint?: string;
  readonly hostname?: string;
}

/** The body of POST /containers/create for these options. */
export function createBody(image: string, command: readonly string[], options: RunOptions): JsonObject {
  const attached = options.detach !== true;
  const ports = options.publish.map(parsePublish);
  return {
    Image: image,
    ...(command.length === 0 ? {} : { Cmd: command }),
    ...(options.entrypoint === undefined
      ? {}
      : { Entrypoint: options.entrypoint === '' ? [''] : [options.entrypoint] }),
    Env: environment(options),
    ...(options.workdir === undefined ? {} : { WorkingDir: options.workdir }),
    ...(options.user === undefined ? {} : { User: options.user }),
    ...(options.hostname === undefined ? {} : { Hostname: options.hostname }),
    Tty: options.tty === true,
    OpenStdin: options.interactive === true,
    StdinOnce: options.interactive === true && attached,
    AttachStdin: options.interactive === true && attached,
    AttachStdout: attached,
    AttachStderr: attached,
    ExposedPorts: Object.fromEntries(ports.map(({ port }) => [port, {}])),
    HostConfig: {
      AutoRemove: options.rm === true,
      Binds: options.volume.map(bind),
      NetworkMode: options.network ?? 'default',
      PortBindings: portBindings(ports),
    },
  };
}

interface PublishedPort {
  /** `80/tcp` */
  readonly port: string;
  readonly hostIp: string;
  readonly hostPort: string;
}

const PUBLISH = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:]*)):)?(?:(\d*):)?(\d+)(?:\/(tcp|udp|sctp))?$/;

/** Reads `[[IP:]HOST_PORT:]PORT[/PROTOCOL]`; ranges are left to the docker CLI. */
function parsePublish(text: string): PublishedPort {
  // One colon parts host port and port, two part the address as well: give a lone host port an empty address.
  const colons = text.replace(/\[.*?\]/, '').split(':').length - 1;
  const match = PUBLISH.exec(colons === 1 ? `:${text}` : text);
  const [, ip6, ip4, hostPort, port, protocol] = match ?? [];
  if (port === undefined || Number(port) > 65_535 || Number(hostPort ?? 0) > 65_535) {
    throw new ExitError(125, `invalid publish "${text}": expected [[IP:]HOST_PORT:]PORT[/PROTOCOL]`);
  }
  return { port: `${port}/${protocol ?? 'tcp'}`, hostIp: ip6 ?? ip4 ?? '', hostPort: hostPort ?? '' };
}

function portBindings(ports: readonly PublishedPort[]): JsonObject {
  const bindings: Record<string, JsonObject[]> = {};
  for (const { port, hostIp, hostPort } of ports) {
    (bindings[port] ??= []).push({ HostIp: hostIp, HostPort: hostPort });
  }
  return bindings;
}

/** `./data:/data` is the caller's folder, not the daemon's: made absolute here. */
function bind(text: string): string {
  const [source = '', ...rest] = text.split(':');
  return rest.length > 0 && /^\.{1,2}(\/|$)/.test(source) ? [resolve(source), ...rest].join(':') : text;
}

/** As docker does: files first, then `-e`; a bare name takes the caller's value, and is left out without one. */
function environment({ env, envFile }: RunOptions): readonly string[] {
  return [...envFile.flatMap(linesOfFile), ...env].flatMap((entry) => {
    if (entry.includes('=')) return [entry];
    const value = process.env[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
}

function linesOfFile(path: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new ExitError(125, `open ${path}: no such file or directory`);
  }
  return text
    .split('\n')
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
