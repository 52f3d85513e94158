/** What happens is told as dockerd tells it, and is still known after the daemon was killed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until, type CommandResult } from '../support/engine.ts';

interface Told {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

interface Side {
  docker(args: readonly string[], input?: { readonly stdin?: string | Buffer }): Promise<CommandResult>;
}

let engine: TestEngine;
let peer: DockerPeer | null = null;
beforeAll(async () => {
  if (peerAbsence !== null) console.warn(`not compared with dockerd: ${peerAbsence}`);
  [engine, peer] = await Promise.all([TestEngine.start(), peerAbsence === null ? startDockerPeer() : null]);
  const stdin = await busyboxTar();
  for (const side of sides()) expect((await side.docker(['import', '-', 'busybox:latest'], { stdin })).code).toBe(0);
});
afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

function sides(): readonly Side[] {
  return peer === null ? [engine] : [engine, peer];
}

const RUN = ['--network', 'none'];

/** Commands of one story, each on both sides. */
const STORIES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'run --rm': [['run', '--rm', '--name', 'box', '-l', 'x=y', ...RUN, 'busybox', 'true']],
  'a code that is not 0': [
    ['run', '--name', 'box', ...RUN, 'busybox', 'sh', '-c', 'exit 7'],
    ['rm', 'box'],
  ],
  'create, start, stop, remove': [
    ['create', '--name', 'box', ...RUN, 'busybox', 'sleep', '100'],
    ['start', 'box'],
    ['stop', '-t', '0', 'box'],
    ['rm', 'box'],
  ],
  kill: [
    ['run', '-d', '--name', 'box', ...RUN, 'busybox', 'sleep', '100'],
    ['kill', 'box'],
    ['wait', 'box'],
    ['rm', 'box'],
  ],
  'pause and unpause': [
    ['run', '-d', '--name', 'box', ...RUN, 'busybox', 'sleep', '100'],
    ['pause', 'box'],
    ['unpause', 'box'],
    ['rm', '-f', 'box'],
  ],
  restart: [
    ['run', '-d', '--name', 'box', ...RUN, 'busybox', 'sleep', '100'],
    ['restart', '-t', '0', 'box'],
    ['rm', '-f', 'box'],
  ],
  rename: [
    ['create', '--name', 'box', ...RUN, 'busybox', 'true'],
    ['rename', 'box', 'cox'],
    ['rm', 'cox'],
  ],
  exec: [
    ['run', '-d', '--name', 'box', ...RUN, 'busybox', 'sleep', '100'],
    ['exec', 'box', 'echo', 'hi'],
    ['rm', '-f', 'box'],
  ],
  volumes: [
    ['volume', 'create', '-d', 'local', '--label', 'l=m', 'vol'],
    ['run', '--rm', '--name', 'box', '-v', 'vol:/v:ro', ...RUN, 'busybox', 'true'],
    ['volume', 'rm', 'vol'],
  ],
  'an anonymous volume': [['run', '--rm', '--name', 'box', '-v', '/v', ...RUN, 'busybox', 'true']],
  images: [
    ['tag', 'busybox', 'other:1'],
    ['tag', 'busybox', 'other:2'],
    ['rmi', 'other:1'],
    ['rmi', 'other:2'],
  ],
  commit: [
    ['create', '--name', 'box', ...RUN, 'busybox', 'true'],
    ['commit', '-m', 'why', 'box', 'made:1'],
    ['rm', 'box'],
    ['rmi', 'made:1'],
  ],
  'prune of containers': [
    ['create', '--name', 'box', ...RUN, 'busybox', 'true'],
    ['container', 'prune', '-f'],
  ],
  'export and archive': [
    ['create', '--name', 'box', ...RUN, 'busybox', 'true'],
    ['export', 'box'],
    ['cp', 'box:/etc/group', '-'],
    ['rm', 'box'],
  ],
};

/** What a story has told, with names in place of what is different everywhere. */
async function told(side: Side, story: readonly (readonly string[])[]): Promise<readonly unknown[]> {
  const since = now();
  for (const command of story) expect([command, (await side.docker(command)).stderr]).toEqual([command, '']);
  const { stdout } = await side.docker(['events', '--since', since, '--until', now(), '--format', '{{json .}}']);
  const names = new Map<string, string>();
  const named = (text: string): string =>
    text.replaceAll(/(sha256:)?[0-9a-f]{64}/g, (id) => {
      if (!names.has(id)) names.set(id, `id${String(names.size)}`);
      return names.get(id) ?? '';
    });
  return (
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Told)
      .filter(({ Type, Action }) => !(Type === 'image' && Action === 'create'))
      .map(({ Type, Action, Actor }) => [
        Type,
        Action,
        named(Actor.ID),
        Object.entries(Actor.Attributes)
          .filter(([key]) => !LATER.includes(`${Action} ${key}`))
          .map(([key, value]) => `${key}=${named(value)}`)
          .sort(),
      ])
      // 20.10 tells of the making of a volume also where it was there.
      .filter((one, index, all) => JSON.stringify(one) !== JSON.stringify(all[index - 1]))
  );
}

/** What docker 28 tells and 20.10 does not; besides, `image create` of a commit. */
const LATER = ['die execDuration', 'restart execDuration'];

/** Both sides have our clock; what was answered was told before. */
function now(): string {
  const ms = Date.now() + 1;
  return `${String(Math.floor(ms / 1000))}.${String(ms % 1000).padStart(3, '0')}`;
}

describe('events', () => {
  it.each(Object.entries(STORIES))('of %s are dockerd’s, in its order', async (_name, story) => {
    const [ours, theirs] = await Promise.all(sides().map((side) => told(side, story)));
    expect(ours?.length).toBeGreaterThan(0);
    if (theirs !== undefined) expect(ours).toEqual(theirs);
  });

  it('are still told after the daemon was killed, in one order with those after it', async () => {
    const id = await engine.dockerOk('create', '--name', 'before', ...RUN, 'busybox', 'true');
    await engine.dockerOk('rm', 'before');
    // A killed daemon may lose its last moment, and no more.
    const journal = join(engine.dataRoot, 'state.db-wal');
    await until(() => readFileSync(journal, 'latin1').includes(`"destroy","actorId":"${id}"`));
    await engine.end('SIGKILL');
    await engine.boot();
    await engine.dockerOk('create', '--name', 'after', ...RUN, 'busybox', 'true');
    await engine.dockerOk('rm', 'after');
    const seconds = String(Math.floor(Date.now() / 1000) + 1);
    const answer = await engine.api('GET', `/events?since=1&until=${seconds}&filters={"container":["before","after"]}`);
    const lines = answer.body.trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as Told & { readonly timeNano: number });
    expect(events.map(({ Action, Actor }) => `${Action} ${Actor.Attributes['name'] ?? ''}`)).toEqual([
      'create before',
      'destroy before',
      'create after',
      'destroy after',
    ]);
    expect(lines.map((line) => BigInt(/"timeNano":(\d+)/.exec(line)?.[1] ?? '0'))).toSatisfy(
      (times: readonly bigint[]) => times.every((time, index) => index === 0 || time > (times[index - 1] ?? 0n)),
    );
  });

  it('are filtered, and a filter that nobody knows is refused', async () => {
    const seconds = String(Math.floor(Date.now() / 1000) + 1);
    const asked = async (filters: unknown): Promise<readonly Told[]> => {
      const query = `since=0&until=${seconds}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
      const { body } = await engine.api('GET', `/events?${query}`);
      return body.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Told]));
    };
    const actions = async (filters: unknown): Promise<ReadonlySet<string>> =>
      new Set((await asked(filters)).map(({ Action }) => Action.split(':')[0] ?? ''));
    expect(await actions({ event: ['exec_create', 'exec_start'] })).toEqual(new Set(['exec_create', 'exec_start']));
    expect(await actions({ type: { volume: true } })).toEqual(new Set(['create', 'mount', 'unmount', 'destroy']));
    expect(await actions({ scope: ['swarm'] })).toEqual(new Set());
    expect(await actions({ label: ['x=y'], event: ['die'] })).toEqual(new Set(['die']));
    const refused = await engine.api('GET', `/events?filters=${encodeURIComponent('{"nope":["x"]}')}`);
    expect([refused.status, refused.body]).toEqual([400, '{"message":"invalid filter \'nope\'"}\n']);
    const turned = await engine.api('GET', '/events?since=20&until=10');
    expect([turned.status, turned.body]).toEqual([
      400,
      '{"message":"`since` time (20) cannot be after `until` time (10)"}\n',
    ]);
  });

  it('are waited for until a time to come', async () => {
    const end = String((Date.now() + 1500) / 1000);
    const following = engine.api('GET', `/events?until=${end}&filters={"type":["volume"]}`);
    await until(async () => {
      await engine.api('POST', '/volumes/create', { Name: 'coming' });
      await engine.api('DELETE', '/volumes/coming');
      return Date.now() / 1000 > Number(end);
    });
    const { body } = await following;
    expect(body).toContain('"Action":"create","Actor":{"ID":"coming"');
  });
});
