/** Checkpoints of what runs; starting from one is `POST /containers/{id}/start?checkpoint=`. */
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { requireJson } from '../wire/body.ts';
import { bool, struct, text } from '../wire/go-struct.ts';

export const CONTAINER_CHECKPOINT_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/containers/{id*}/checkpoints', handle: list },
  { method: 'POST', pattern: '/containers/{id*}/checkpoints', handle: create },
  { method: 'DELETE', pattern: '/containers/{id*}/checkpoints/{checkpoint}', handle: remove },
];

const CREATE_REQUEST = struct('checkpoint.CreateOptions', { CheckpointID: text, CheckpointDir: text, Exit: bool });

function list(context: Context): void {
  const { engine, query, reply } = context;
  const names = engine.containers.listCheckpoints(param(context, 'id'), query.text('dir'));
  reply.json(200, names.length === 0 ? null : names.map((name) => ({ Name: name })));
}

async function create(context: Context): Promise<void> {
  const { CheckpointID = '', CheckpointDir = '', Exit = false } = await requireJson(context, CREATE_REQUEST);
  await context.engine.containers.createCheckpoint(param(context, 'id'), {
    name: CheckpointID,
    directory: CheckpointDir,
    exit: Exit,
  });
  context.reply.send(201);
}

function remove(context: Context): void {
  const { engine, query, reply } = context;
  engine.containers.removeCheckpoint(param(context, 'id'), param(context, 'checkpoint'), query.text('dir'));
  reply.send(204);
}
