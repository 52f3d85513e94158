import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inBatches } from '../support/batches.ts';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until, type CommandResult } from '../support/engine.ts';

/** What either of the two is to a test. */
interface Side {
  readonly socketPath: string;
  docker(args: readonly string[]): Promise<CommandResult>;
}

/** A wait that has not been answered by now waits. */
const PATIENCE_MS = 1000;
/** No other verb takes so long. */
const LIMIT_MS = 20_000;

/** Verbs that take their container out of its state, or end it: each has one to itself. */
const CHANGES = [
  'start',
  'stop',
  'restart',
  'kill',
  'kill 0-like',
  'pause',
  'unpause',
  'rm',
  'rm -f',
  'rename',
] as const;

/** Those that leave it as it was have one among them, and are asked side by side. */
const LOOKS = [
  'kill nonsense',
  'wait',
  'wait next-exit',
  'rename same',
  'rename empty',
  'exec',
  'resize',
  'update',
  'top',
  'logs',
  'changes',
] as const;

/** To these a container that waits for its next start is something of its own; each such container costs six starts. */
const MEANS_MORE: ReadonlySet<Verb> = new Set<Verb>([
  'start',
  'stop',
  'restart',
  'kill',
  'pause',
  'rm',
  'rm -f',
  'wait',
  'exec',
  'rename',
  'top',
]);

type Verb = (typeof CHANGES)[number] | (typeof LOOKS)[number];

const STATES = ['created', 'running', 'paused', 'restarting', 'exited'] as const;

const VERBS: Readonly<Record<Verb, readonly [method: string, path: string, body?: unknown]>> = {
  start: ['POST', '/start'],
  stop: ['POST', '/stop?t=0'],
  restart: ['POST', '/restart?t=0'],
  kill: ['POST', '/kill'],
  'kill 0-like': ['POST', '/kill?signal=URG'],
  'kill nonsense': ['POST', '/kill?signal=NONSENSE'],
  pause: ['POST', '/pause'],
  unpause: ['POST', '/unpause'],
  rm: ['DELETE', ''],
  'rm -f': ['DELETE', '?force=1'],
  wait: ['POST', '/wait'],
  'wait next-exit': ['POST', '/wait?condition=next-exit'],
  rename: ['POST', '/rename?name=new-NAME-TURN'],
  'rename same': ['POST', '/rename?name=NAME'],
  'rename empty': ['POST', '/rename?name='],
  exec: ['POST', '/exec', { Cmd: ['true'] }],
  resize: ['POST', '/resize?h=10&w=20'],
  update: ['POST', '/update', { RestartPolicy: { Name: 'unless-stopped' } }],
  top: ['GET', '/top'],
  logs: ['GET', '/logs?stdout=1'],
  changes: ['GET', '/changes'],
};

/**
 * What docker 28 says where the 20.10 that may be installed beside us says something else. `unpause` of what is not paused
 * is 500 to both of them, and 409 to us: nothing is wrong with the engine then.
 */
const NEWER: readonly (readonly [older: RegExp, newer: string])[] = [
  [/Cannot kill container: ID: Container/, 'cannot kill container: ID: container'],
  [/Invalid signal: /, 'cannot kill container: ID: invalid signal: '],
  [/^409 Container ID is not running/, '409 container ID is not running'],
  [/^500 Container ID is not paused/, '409 Container ID is not paused'],
  [
    /You cannot remove a paused .* force remove/,
    'cannot remove container \\"/NAME\\": container is paused and must be unpaused first',
  ],
  [
    /You cannot remove a (\w+) container .* force remove/,
    'cannot remove container \\"/NAME\\": container is $1: stop the container before removing or force remove',
  ],
  [/"Error":null,/, ''],
];

/** Where dockerd stumbles over a container that waits for its next start; ours is asked what it is. */
const OURS: Readonly<Record<string, string>> = {
  // `404 sandbox … not found`
  'restarting rename': '204 → restarting',
};

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

async function call(
  { socketPath }: Side,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const outgoing = request(
    { socketPath, method, path: `/v1.41${path}`, agent: false, headers: { 'content-type': 'application/json' } },
    (response) => {
      const chunks: Buffer[] = [];
      const told = (end: string): void =>
        resolve({ status: response.statusCode ?? 0, text: `${Buffer.concat(chunks).toString()}${end}` });
      const timer = setTimeout(
        () => {
          told('(waits)');
          response.destroy();
        },
        path.includes('/wait') ? PATIENCE_MS : LIMIT_MS,
      );
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => undefined);
      response.on('end', () => {
        clearTimeout(timer);
        told('');
      });
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

async function make(side: Side, name: string, state: (typeof STATES)[number]): Promise<string> {
  const script = state === 'restarting' ? ['false'] : ['sleep', '300'];
  const { text } = await call(side, 'POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: script,
    HostConfig: {
      NetworkMode: 'none',
      ...(state === 'restarting' ? { RestartPolicy: { Name: 'always' } } : {}),
    },
  });
  const { Id: id } = JSON.parse(text) as { readonly Id: string };
  if (state !== 'created') await call(side, 'POST', `/containers/${id}/start`);
  if (state === 'paused') await call(side, 'POST', `/containers/${id}/pause`);
  if (state === 'exited') await call(side, 'POST', `/containers/${id}/kill`);
  if (state === 'exited') await call(side, 'POST', `/containers/${id}/wait`);
  // A pause of three seconds: long enough to ask in, also on a busy machine.
  if (state === 'restarting') await until(() => isResting(side, id), 60_000);
  return id;
}

interface Inspected {
  readonly RestartCount: number;
  readonly State: { readonly Status: string; readonly ExitCode: number };
}

async function inspect(side: Side, id: string): Promise<Inspected | null> {
  const { status, text } = await call(side, 'GET', `/containers/${id}/json`);
  return status === 200 ? (JSON.parse(text) as Inspected) : null;
}

function hasGoneOn(before: Inspected | null, after: Inspected | null): boolean {
  return before !== null && after !== null && before.RestartCount !== after.RestartCount;
}

async function isResting(side: Side, id: string): Promise<boolean> {
  const found = await inspect(side, id);
  return found !== null && found.RestartCount >= 6 && found.State.Status === 'restarting';
}

/** What each verb answers in `state`, and what state it leaves. */
async function tableOf(side: Side, state: (typeof STATES)[number]): Promise<Readonly<Record<string, string>>> {
  const isAsked = (verb: Verb): boolean => state !== 'restarting' || MEANS_MORE.has(verb);
  // All at once where the state must not go by meanwhile.
  const size = state === 'restarting' ? CHANGES.length : CHANGES.length / 2;
  const rows = await Promise.all([
    rowsOf(side, state, LOOKS.filter(isAsked)),
    inBatches(CHANGES.filter(isAsked), (verb) => rowsOf(side, state, [verb]), size).then((each) => each.flat()),
  ]);
  return Object.fromEntries(rows.flat());
}

/** Makes a container for these verbs and takes it away. */
async function rowsOf(
  side: Side,
  state: (typeof STATES)[number],
  verbs: readonly Verb[],
): Promise<readonly (readonly [verb: Verb, told: string])[]> {
  const name = `${state}-${String(Object.keys(VERBS).indexOf(verbs[0] ?? ''))}`;
  const id = await make(side, name, state);
  for (let turn = 0; ; turn += 1) {
    const before = await inspect(side, id);
    const rows = await Promise.all(verbs.map((verb) => rowOf(side, state, { verb, id, name, turn })));
    const after = await inspect(side, id);
    const isLate = state === 'restarting' && !verbs.includes('restart') && hasGoneOn(before, after);
    if (!isLate) {
      await call(side, 'DELETE', `/containers/${id}?force=1`);
      return rows;
    }
    // Its pause was over too soon, as on a busy machine; the next is twice as long.
    await until(() => isResting(side, id), 60_000);
  }
}

interface Asked {
  readonly verb: Verb;
  readonly id: string;
  readonly name: string;
  readonly turn: number;
}

async function rowOf(
  side: Side,
  state: (typeof STATES)[number],
  { verb, id, name, turn }: Asked,
): Promise<readonly [verb: Verb, told: string]> {
  const [method, pattern, body] = VERBS[verb];
  const path = pattern.replaceAll('NAME', name).replaceAll('TURN', String(turn));
  const answer = await call(side, method, `/containers/${id}${path}`, body);
  const message = /"message":"((?:[^"\\]|\\.)*)"/.exec(answer.text)?.[1] ?? bodyOf(verb, answer.text);
  // dockerd hears of a thaw by an event.
  const thaws = state === 'paused' && verb.startsWith('kill') && answer.status < 300;
  if (thaws) await until(async () => (await inspect(side, id))?.State.Status !== 'paused');
  const after = await inspect(side, id);
  const words = `${String(answer.status)} ${message}`.replaceAll(id, 'ID').replaceAll(name, 'NAME').trim();
  // What fails at once may be on its way down again.
  const left = state === 'restarting' && verb === 'restart' ? 'started' : (after?.State.Status ?? 'gone');
  return [verb, `${words} → ${left}`];
}

/** Events of a container that is killed, stopped, restarted, paused and taken away. */
async function orderOf(side: Side): Promise<readonly string[]> {
  const id = await make(side, 'order', 'running');
  const verbs = [
    'kill',
    'start',
    'stop?t=0',
    'start',
    'restart?t=0',
    'pause',
    'unpause',
    'rename?name=other',
    'stop?t=0',
  ];
  for (const verb of verbs) {
    await call(side, 'POST', `/containers/${id}/${verb}`);
    if (verb === 'kill') await call(side, 'POST', `/containers/${id}/wait`);
  }
  await call(side, 'DELETE', `/containers/${id}`);
  // dockerd replays up to whole seconds.
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const which = ['--since', '1', '--until', until, '--filter', `container=${id}`, '--filter', 'type=container'];
  const { stdout } = await side.docker(['events', ...which, '--format', '{{.Action}}']);
  return stdout.trim().split('\n');
}

/** Answers that are the same wherever they are. */
function bodyOf(verb: string, text: string): string {
  if (text.includes('(waits)')) return '(waits)';
  return verb.startsWith('wait') ? text.trim() : '';
}

describe.skipIf(peerAbsence !== null)(
  `every verb in every state answers as dockerd does${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  () => {
    let peer: DockerPeer;
    beforeAll(async () => {
      peer = await startDockerPeer();
      const stdin = await busyboxTar();
      const imported = await peer.docker(['import', '-', 'busybox'], { stdin });
      if (imported.code !== 0) throw new Error(imported.stderr);
    });
    afterAll(async () => {
      await peer[Symbol.asyncDispose]();
    });

    it('with events in the same order', async () => {
      const [ours, theirs] = await Promise.all([orderOf(engine), orderOf(peer)]);
      expect(ours).toEqual(theirs);
      expect(ours).toContain('restart');
    });

    it.each(STATES)(
      '%s',
      async (state) => {
        const [ours, theirs] = await Promise.all([tableOf(engine, state), tableOf(peer, state)]);
        const wanted = Object.fromEntries(
          Object.entries(theirs).map(([verb, answer]) => [
            verb,
            OURS[`${state} ${verb}`] ?? NEWER.reduce((text, [older, newer]) => text.replace(older, newer), answer),
          ]),
        );
        expect(ours).toEqual(wanted);
      },
      90_000,
    );
  },
);
