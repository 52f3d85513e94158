/**
 * Dockerfiles built by this engine and by a real dockerd: what the CLI prints, how it ends, the image's configuration and
 * history, and every file of a container made from it are the same.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extract } from 'tar-stream';
import { BUILD_CASES, writeContext, type BuildCase } from '../support/build-cases.ts';
import { peerAbsence, skipNote, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, type CommandResult } from '../support/engine.ts';

/** One of the two. */
interface Builder {
  docker(args: readonly string[], input?: { readonly stdin?: string | Buffer }): Promise<CommandResult>;
  readonly environment: NodeJS.ProcessEnv;
}

/** Before 2020: it was in the context, and its time is kept. */
const KEPT_BEFORE = Date.UTC(2020, 0);
/** Links of the base image that no case touches. */
const BASE_FILES = /^bin\/./;
/** What the engines put into every container. */
const ENGINE_FILES = /^(\.dockerenv|dev\/.*|etc\/|proc\/|sys\/|etc\/(hosts|hostname|resolv\.conf|mtab))$/;

describe.skipIf(peerAbsence !== null)(`what dockerd makes of it${skipNote(peerAbsence)}`, () => {
  let engine: TestEngine;
  let peer: DockerPeer;
  let scratch: string;
  let peerData: string;
  let ours: Builder;
  let theirs: Builder;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'builds-'));
    // In memory: each of its steps waits for the disk several times, and there are hundreds.
    peerData = mkdtempSync('/dev/shm/builds-');
    [engine, peer] = await Promise.all([
      TestEngine.start('--experimental'),
      startDockerPeer('--experimental', '--data-root', peerData),
    ]);
    const environment = { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' };
    const peerEnvironment = { ...environment, DOCKER_HOST: `unix://${peer.socketPath}` };
    ours = { environment, docker: (args, input) => run('docker', args, { ...input, env: environment }) };
    theirs = {
      environment: peerEnvironment,
      docker: (args, input) => run('docker', args, { ...input, env: peerEnvironment }),
    };
    const stdin = await busyboxTar();
    await Promise.all([ours, theirs].map((each) => each.docker(['import', '-', 'busybox:latest'], { stdin })));
  });
  afterAll(async () => {
    await Promise.all([engine[Symbol.asyncDispose](), peer[Symbol.asyncDispose]()]);
    for (const directory of [scratch, peerData]) rmSync(directory, { recursive: true });
  });

  it.concurrent.each(BUILD_CASES.map((given, index) => [given.name, given, index] as const))(
    '%s',
    async (_name, given, index) => {
      const directory = join(scratch, String(index));
      writeContext(directory, given);
      const image = `case-${String(index)}`;
      const [mine, real] = await Promise.all([ours, theirs].map((each) => build(each, given, { directory, image })));
      if (given.says === undefined) expect(mine).toEqual(real);
      else expect([mine!.output, mine!.code === 0]).toEqual([expect.stringMatching(given.says), real!.code === 0]);
      if (real!.code !== 0) return;
      const [made, wanted] = await Promise.all([ours, theirs].map((each) => describeImage(each, image)));
      expect(made).toEqual(wanted);
    },
    180_000,
  );
});

async function build(
  { docker }: Builder,
  { flags = [] }: BuildCase,
  { directory, image }: { readonly directory: string; readonly image: string },
): Promise<{ readonly code: number | null; readonly output: string }> {
  const own = flags.map((flag) => flag.replace('CONTEXT', directory));
  const { code, stdout, stderr } = await docker(['build', '--network', 'none', '-t', image, ...own, directory]);
  return { code, output: comparable(stdout + stderr) };
}

/** Without ids, and in Docker 28's words. */
function comparable(text: string): string {
  return (
    text
      .replace(/^DEPRECATED:[^]*?\n\n/m, '')
      // dockerd makes a container for a label, too, and 20.10 says of its removal in other words than 28.
      .replace(/( ---> Running in [0-9a-f]{12}|( ---> Removed|Removing) intermediate container [0-9a-f]{12})\n/g, '')
      // 28 knows one interval more.
      .replace(/("0s" )+'/g, "'")
      .replace(/\b[0-9a-f]{12}\b/g, 'ID')
      .replace(/\b[0-9a-f]{64}\b/g, 'ID')
  );
}

async function describeImage(builder: Builder, image: string): Promise<unknown> {
  const [inspected, history, files] = await Promise.all([
    builder.docker(['inspect', '-f', '{{json .Config}}', image]),
    builder.docker(['history', '--no-trunc', '--format', '{{.CreatedBy}} | {{.Size}} | {{.Comment}}', image]),
    exported(builder, image),
  ]);
  return {
    config: configOf(JSON.parse(inspected.stdout) as Readonly<Record<string, unknown>>),
    history: comparable(history.stdout).split('\n'),
    files,
  };
}

/** What says something; 20.10 also keeps the parent's id and the last container's words. */
function configOf(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { Image: _image, Hostname: _hostname, ...rest } = config;
  const isSaid = (value: unknown): boolean =>
    !(
      value === null ||
      value === '' ||
      value === false ||
      (typeof value === 'object' && Object.keys(value).length === 0)
    );
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => isSaid(value)));
}

/** Every file of a container: type, mode, owner, link, content; and its time when that came with the context. */
async function exported({ docker, environment }: Builder, image: string): Promise<readonly string[]> {
  const { stdout, stderr } = await docker(['create', image, 'sh']);
  const id = stdout.trim();
  if (id === '') throw new Error(stderr);
  const tar = await run('sh', ['-c', 'docker export "$0" | base64 -w0', id], { env: environment });
  await docker(['rm', id]);
  const lines: string[] = [];
  const unpack = extract();
  unpack.end(Buffer.from(tar.stdout, 'base64'));
  for await (const entry of unpack) {
    const { name, type, mode, uid, gid, linkname, pax } = entry.header;
    const { mtime: seconds } = (pax ?? {}) as { readonly mtime?: string };
    const mtimeMs = seconds === undefined ? entry.header.mtime.getTime() : Number(seconds) * 1000;
    const hash = createHash('sha256');
    for await (const chunk of entry) hash.update(chunk as Buffer);
    if (ENGINE_FILES.test(name) || BASE_FILES.test(name)) continue;
    const time = mtimeMs < KEPT_BEFORE ? new Date(mtimeMs).toISOString() : '';
    const content = type === 'file' ? hash.digest('hex').slice(0, 12) : linkname;
    lines.push([name, type, (mode & 0o7777).toString(8), `${String(uid)}:${String(gid)}`, content, time].join(' '));
  }
  return lines.sort();
}
