/** Wait, attach and logs: what answers with a stream. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerView, WaitCondition } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { runHijacked } from '../stream/hijack.ts';
import { encodeLogs } from '../stream/mux.ts';
import { requireWebSocket, runWebSocket } from '../stream/websocket.ts';

export const CONTAINER_STREAM_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/containers/{id*}/wait', handle: wait },
  { method: 'POST', pattern: '/containers/{id*}/attach', handle: attach, takesOver: true },
  { method: 'GET', pattern: '/containers/{id*}/attach/ws', handle: attachWebSocket, takesOver: true },
  { method: 'GET', pattern: '/containers/{id*}/logs', handle: logs },
];

/** How Docker's own command line names itself: it takes frames apart and joins what is in them. */
const DOCKER_CLI = 'Docker-Client/';

const WAIT_CONDITIONS: readonly WaitCondition[] = ['not-running', 'next-exit', 'removed'];

/** The field goes out before anything is awaited: clients send `start` only when they have seen it. */
async function wait(context: Context): Promise<void> {
  const { engine, query, reply, signal } = context;
  const given = query.text('condition');
  const condition = given === '' ? 'not-running' : WAIT_CONDITIONS.find((known) => known === given);
  if (condition === undefined) throw new InvalidArgumentError(`invalid condition: ${JSON.stringify(given)}`);
  const { result } = engine.containers.wait(param(context, 'id'), condition, signal);
  // An exit may come before we listen: a rejection must not be nobody's.
  result.catch(() => undefined);
  const stream = reply.stream(200, 'application/json');
  const { exitCode, error } = await result;
  const document = { StatusCode: exitCode, ...(error === null ? {} : { Error: { Message: error } }) };
  void stream.write(Buffer.from(`${JSON.stringify(document)}\n`));
  stream.end();
}

async function attach(context: Context): Promise<void> {
  const { engine, query } = context;
  const attachment = await engine.containers.attach(param(context, 'id'), {
    stdin: query.boolean('stdin'),
    stdout: query.boolean('stdout'),
    stderr: query.boolean('stderr'),
    logs: query.boolean('logs'),
    stream: query.boolean('stream'),
    // Given and empty is "none", which the CLI never sends; dockerd takes it for the default.
    detachKeys: query.textOrNull('detachKeys'),
  });
  await runHijacked(context, attachment, { stdin: query.boolean('stdin'), bare: true });
}

/** Before API 1.42 all three streams; from then on those asked for, as in {@link attach}. */
async function attachWebSocket(context: Context): Promise<void> {
  const { engine, query, version } = context;
  // Whom it is for comes first, as in dockerd.
  engine.containers.get(param(context, 'id'));
  requireWebSocket(context);
  const selects = version.atLeast('1.42');
  const wants = (name: string): boolean => !selects || query.boolean(name);
  const stdin = wants('stdin');
  const attachment = await engine.containers.attach(param(context, 'id'), {
    stdin,
    stdout: wants('stdout'),
    stderr: wants('stderr'),
    logs: query.boolean('logs'),
    stream: query.boolean('stream'),
    detachKeys: query.textOrNull('detachKeys'),
  });
  await runWebSocket(context, attachment, { stdin });
}

async function logs(context: Context): Promise<void> {
  const { engine, query, fields, reply, signal, version } = context;
  const [stdout, stderr] = [query.boolean('stdout'), query.boolean('stderr')];
  if (!stdout && !stderr) throw new InvalidArgumentError('Bad parameters: you must choose at least one stream');
  const container = engine.containers.get(param(context, 'id'));
  const until = query.time('until');
  const { terminal, batches } = engine.containers.logs(container.id, {
    stdout,
    stderr,
    follow: query.boolean('follow'),
    tail: tailOf(query.text('tail')),
    since: query.time('since'),
    // docker-py and others send zero for "no end".
    until: until === 0n ? null : until,
    signal,
  });
  const format = {
    terminal,
    timestamps: query.boolean('timestamps'),
    details: query.boolean('details') ? detailsOf(container) : '',
    joinsLines: fields.get('user-agent')?.startsWith(DOCKER_CLI) ?? false,
  };
  const multiplexed = terminal || version.before('1.42') ? 'raw' : 'multiplexed';
  const stream = reply.stream(200, `application/vnd.docker.${multiplexed}-stream`);
  for await (const batch of batches) {
    for (const bytes of encodeLogs(batch, format)) await stream.write(bytes);
  }
  stream.end();
}

/** `all`, '' and whatever is no number mean everything; so do negative ones. */
function tailOf(text: string): number | null {
  const lines = /^-?\d+$/.test(text) ? Number(text) : -1;
  return lines < 0 ? null : lines;
}

/** `details=1`: what `--log-opt labels=…` and `env=…` select, as `k=v,k=v `. */
function detailsOf({ spec, logOptions }: ContainerView): string {
  const pairs: string[] = [];
  for (const name of namesOf(logOptions['labels'])) {
    const value = spec.labels[name];
    if (value !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  const env = new Map(spec.env.map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]));
  for (const name of namesOf(logOptions['env'])) {
    const value = env.get(name);
    if (value !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  }
  return `${pairs.sort().join(',')} `;
}

function namesOf(list: string | undefined): readonly string[] {
  return list === undefined || list === '' ? [] : list.split(',');
}
