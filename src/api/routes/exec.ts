import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { runHijacked } from '../stream/hijack.ts';
import { readJson } from '../wire/body.ts';
import { EXEC_CREATE, EXEC_START, execDocument, execSpecOf, sizeOf } from '../wire/exec.ts';
import { sizeOfQuery } from './containers.ts';

export const EXEC_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/containers/{id*}/exec', handle: create },
  { method: 'POST', pattern: '/exec/{id}/start', handle: start, takesOver: true },
  { method: 'POST', pattern: '/exec/{id}/resize', handle: resize },
  { method: 'GET', pattern: '/exec/{id}/json', handle: inspect },
];

async function create(context: Context): Promise<void> {
  const spec = execSpecOf((await readJson(context, EXEC_CREATE)) ?? {});
  const consoleSize = context.version.before('1.42') ? null : spec.consoleSize;
  const id = await context.engine.containers.createExec(param(context, 'id'), { ...spec, consoleSize });
  context.reply.json(201, { Id: id });
}

async function start(context: Context): Promise<void> {
  const { engine, reply, version } = context;
  const request = (await readJson(context, EXEC_START)) ?? {};
  const id = param(context, 'id');
  if (request.Detach === true) {
    await engine.containers.startExecDetached(id);
    reply.send(200);
    return;
  }
  const exec = engine.containers.getExec(id);
  const attachment = await engine.containers.startExec(id, {
    terminal: request.Tty ?? false,
    consoleSize: version.before('1.42') ? null : sizeOf(request.ConsoleSize ?? null),
  });
  await runHijacked(context, attachment, { stdin: exec.spec.attachStdin });
}

async function resize(context: Context): Promise<void> {
  await context.engine.containers.resizeExec(param(context, 'id'), sizeOfQuery(context));
  context.reply.send(200);
}

function inspect(context: Context): void {
  context.reply.json(200, execDocument(context.engine.containers.getExec(param(context, 'id'))));
}
