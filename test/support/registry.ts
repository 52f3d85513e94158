/**
 * A real registry (Debian's `docker-registry`) on a free loopback port with a directory of its own, and a way to fill it
 * by the distribution API, so that no test needs a docker for it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SyntheticImage } from './synthetic-image.ts';

const PROGRAM = '/usr/bin/docker-registry';

/** Why tests against the real registry cannot run here; null when they can. */
export const registryAbsence: string | null = (() => {
  try {
    accessSync(PROGRAM, constants.X_OK);
    return null;
  } catch {
    return `${PROGRAM} is not installed (apt-get install docker-registry)`;
  }
})();

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:34567` */
  readonly host: string;
  readonly directory: string;
  readonly pid: number;
}

export interface RegistryOptions {
  /** htpasswd line (bcrypt); Basic authentication is asked for when given. */
  readonly htpasswd?: string;
  /** Extra configuration, as the registry's YAML. */
  readonly yaml?: string;
  /** Where it listens; 127.0.0.1 by default. */
  readonly address?: string;
  /** Its certificate; with `clientAuthority` (PEM file) it wants to see one of the client too. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientAuthority?: string };
  /** Content of another registry to serve. */
  readonly data?: string;
}

/** Starts a registry; disposing stops it and deletes its directory. */
export async function startRegistry(options: RegistryOptions = {}): Promise<TestRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'moored-registry-'));
  const config = join(directory, 'config.yml');
  const lines = [
    'version: 0.1',
    'log: {level: info, formatter: json}',
    `storage: {filesystem: {rootdirectory: ${options.data ?? `${directory}/data`}}, delete: {enabled: true}}`,
    `http: {addr: "${options.address ?? '127.0.0.1'}:0", secret: test${tlsOf(options)}}`,
  ];
  if (options.htpasswd !== undefined) {
    await writeFile(join(directory, 'htpasswd'), options.htpasswd);
    lines.push(`auth: {htpasswd: {realm: test, path: ${directory}/htpasswd}}`);
  }
  await writeFile(config, `${lines.join('\n')}\n${options.yaml ?? ''}\n`);
  const child = spawn(PROGRAM, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const dispose = async (): Promise<void> => {
    await stop(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const host = await listeningHost(child);
    return { host, directory, pid: child.pid ?? 0, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function tlsOf({ tls }: RegistryOptions): string {
  if (tls === undefined) return '';
  const clients = tls.clientAuthority === undefined ? '' : `, clientcas: ["${tls.clientAuthority}"]`;
  return `, tls: {certificate: "${tls.certificate}", key: "${tls.key}"${clients}}`;
}

/** Uploads an image by the distribution API; returns the manifest's digest. */
export async function pushImage(
  host: string,
  repository: string,
  reference: string,
  image: SyntheticImage,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  for (const blob of [image.config, ...image.layers.map((layer) => layer.blob)]) {
    await pushBlob(host, repository, blob, headers);
  }
  return await pushManifest(host, repository, reference, image.manifest, image.manifestMediaType, headers);
}

/** Uploads one blob. */
export async function pushBlob(
  host: string,
  repository: string,
  blob: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const start = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers });
  await expectStatus(start, 202);
  const location = new URL(start.headers.get('location') ?? '', `http://${host}`);
  location.searchParams.set('digest', `sha256:${createHash('sha256').update(blob).digest('hex')}`);
  const done = await fetch(location, {
    method: 'PUT',
    headers: { ...headers, 'content-type': 'application/octet-stream' },
    body: new Uint8Array(blob),
  });
  await expectStatus(done, 201);
}

/** Uploads a manifest or index; returns its digest. */
export async function pushManifest(
  host: string,
  repository: string,
  reference: string,
  manifest: Buffer,
  mediaType: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await fetch(`http://${host}/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { ...headers, 'content-type': mediaType },
    body: new Uint8Array(manifest),
  });
  await expectStatus(answer, 201);
  return answer.headers.get('docker-content-digest') ?? '';
}

async function expectStatus(answer: Response, status: number): Promise<void> {
  const body = await answer.text();
  if (answer.status !== status) throw new Error(`${answer.url}: ${String(answer.status)} ${body}`);
}

/** The registry logs `listening on ADDRESS:PORT` (and `, tls`) once it does. */
async function listeningHost(child: ChildProcess): Promise<string> {
  if (child.stderr === null) throw new Error('no stderr');
  const lines = createInterface({ input: child.stderr });
  const seen: string[] = [];
  for await (const line of lines) {
    seen.push(line);
    const host = /listening on ([\d.]+:\d+)/.exec(line)?.[1];
    if (host === undefined) continue;
    // Keep draining: a full pipe would stop the registry.
    child.stderr.resume();
    return host;
  }
  throw new Error(`docker-registry ended: ${seen.join('\n')}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.kill('SIGKILL');
  await promise;
}
