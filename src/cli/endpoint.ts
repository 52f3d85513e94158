import { ExitError } from './errors.ts';

/** Where the daemon listens, in the options of node:http. */
export type Endpoint = { readonly socketPath: string } | { readonly host: string; readonly port: number };

const DEFAULT_HOST = 'unix:///var/run/docker.sock';
/** Docker's port for a daemon without TLS. */
const DEFAULT_PORT = 2375;

/** `-H` wins, then MOORED_HOST, then DOCKER_HOST, then the system's socket. */
export function hostOf(flag: string | undefined, env: NodeJS.ProcessEnv): string {
  return (
    [flag, env['MOORED_HOST'], env['DOCKER_HOST']].find((text) => text !== undefined && text !== '') ?? DEFAULT_HOST
  );
}

/** Reads `unix://PATH` or `tcp://HOST[:PORT]`; throws ExitError for anything else. */
export function parseHost(text: string): Endpoint {
  if (text.startsWith('unix://') && text.length > 'unix://'.length) return { socketPath: text.slice('unix://'.length) };
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'tcp:' || url.protocol === 'http:') && url.hostname !== '') {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return { host, port: url.port === '' ? DEFAULT_PORT : Number(url.port) };
  }
  throw new ExitError(125, `unable to parse docker host \`${text}\``);
}
