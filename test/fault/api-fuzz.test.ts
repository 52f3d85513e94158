/**
 * Whatever JSON a client sends: an answer that was meant (never 500, which would be a fault of ours), in time, from an
 * engine that lives on and keeps nothing of it. Bodies are honest ones with one to three of their places made dishonest.
 */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CREATE_BODY,
  EXEC_BODY,
  EXEC_START_BODY,
  SECRET_BODY,
  UPDATE_BODY,
  VOLUME_BODY,
} from '../support/api-bodies.ts';
import { TestEngine } from '../support/engine.ts';

const SEED = 20_261_121;
const PATIENCE_MS = 20_000;

/** Values that surprise: wrong types, extremes, hostile names, depth. */
const surprise = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, '', 0, -1, 1, 1.5, 1e300, -(2 ** 63), 2 ** 64, [], {}, [null], [[]]),
  fc.constantFrom<unknown>('__proto__', '../../etc', '/', '/proc', 'a\0b', '%s', '${x}', 'x'.repeat(9000), '\ud800'),
  fc.constantFrom<unknown>(
    'host',
    'container:',
    'container:zzz',
    '0-99999',
    '1,2,,3',
    '::1',
    '-1:-1',
    'a=b=c',
    '=',
    ':',
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

type Path = readonly string[];

function placesOf(value: unknown, path: Path = []): readonly Path[] {
  const inner =
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, child]) => placesOf(child, [...path, key]))
      : [];
  return path.length === 0 ? inner : [path, ...inner];
}

/** The document with some of its places replaced, removed, or joined by another. */
function dishonest(document: object): fc.Arbitrary<unknown> {
  const change = fc.record({
    place: fc.constantFrom(...placesOf(document)),
    value: surprise,
    way: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'add'),
  });
  return fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
    const copy = structuredClone(document) as Record<string, unknown>;
    for (const { place, value, way } of changes) apply(copy, place, way, value);
    return copy;
  });
}

function apply(root: Record<string, unknown>, place: Path, way: string, value: unknown): void {
  let holder: unknown = root;
  for (const key of place.slice(0, -1)) {
    holder = typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[key] : undefined;
  }
  // An earlier change took it away.
  if (typeof holder !== 'object' || holder === null) return;
  const target = holder as Record<string, unknown>;
  const key = place.at(-1) ?? '';
  if (way === 'remove') Reflect.deleteProperty(target, key);
  else if (way === 'add') target[typeof value === 'string' ? value.slice(0, 200) : `${key}x`] = value;
  else target[key] = value;
}

const QUERIES: readonly (readonly [method: string, path: string, names: readonly string[]])[] = [
  ['GET', '/containers/json', ['all', 'limit', 'size', 'filters']],
  ['POST', '/containers/running/wait', ['condition']],
  ['POST', '/containers/running/kill', ['signal']],
  ['POST', '/containers/running/resize', ['h', 'w']],
  ['GET', '/containers/running/logs', ['stdout', 'stderr', 'since', 'until', 'tail', 'timestamps', 'details']],
  ['GET', '/volumes', ['filters']],
  ['GET', '/secrets', ['filters']],
  ['POST', '/containers/prune', ['filters']],
];

describe('dishonest bodies', () => {
  let engine: TestEngine;
  let running = '';
  const faults: string[] = [];

  beforeAll(async () => {
    engine = await TestEngine.start('--bridge', 'none');
    await engine.importBusybox();
    running = await engine.dockerOk('run', '-d', '--name', 'running', 'busybox', 'sleep', '1000');
    expect((await engine.api('POST', '/secrets/create', { Name: 'fuzz', Data: 'eA==' })).status).toBe(201);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  /** Sends, notes a fault or a delay, gives the answer. */
  const send = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const started = performance.now();
    const { status, json, body: text } = await engine.api(method, path, body);
    const took = performance.now() - started;
    if (status >= 500 && status !== 501 && status !== 503)
      faults.push(`${String(status)} ${text} to ${path} ${toText(body)}`);
    if (took > PATIENCE_MS) faults.push(`${String(took)} ms for ${path} ${toText(body)}`);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  };
  const fuzz = async (document: object, runs: number, job: (body: unknown) => Promise<void>): Promise<void> => {
    faults.length = 0;
    await fc.assert(fc.asyncProperty(dishonest(document), job), { seed: SEED, numRuns: runs });
    expect(faults).toEqual([]);
  };
  const removeAll = async (): Promise<void> => {
    const ids = (await engine.dockerOk('ps', '-aq', '--no-trunc'))
      .split('\n')
      .filter((id) => id !== '' && id !== running);
    for (const id of ids) await send('DELETE', `/containers/${id}?force=1&v=1`);
  };
  const heldNow = () => ({
    descriptors: readdirSync(`/proc/${String(engine.pid)}/fd`).length,
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(engine.root)).length,
  });

  it('at create leave no container, mount or descriptor', async () => {
    await send('POST', '/containers/create', CREATE_BODY).then(({ Id }) => expect(Id, 'the honest one').toBeDefined());
    await removeAll();
    const before = heldNow();
    await fuzz(CREATE_BODY, 250, async (body) => {
      const { Id } = await send('POST', '/containers/create', body);
      if (typeof Id !== 'string') return;
      await send('GET', `/containers/${Id}/json`);
      await send('DELETE', `/containers/${Id}?v=1`);
    });
    expect((await engine.dockerOk('ps', '-aq', '--no-trunc')).split('\n')).toEqual([running]);
    expect(heldNow().mounts).toBe(before.mounts);
    await expect.poll(() => heldNow().descriptors).toBeLessThanOrEqual(before.descriptors + 3);
    expect(readdirSync(`${engine.dataRoot}/containers`)).toEqual([running]);
  });

  it('at update leave the container running', async () => {
    await fuzz(UPDATE_BODY, 60, async (body) => {
      await send('POST', `/containers/${running}/update`, body);
    });
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', running)).toBe('true');
  });

  it('at exec and its start are answered', async () => {
    await fuzz(EXEC_BODY, 60, async (body) => {
      const { Id } = await send('POST', `/containers/${running}/exec`, body);
      if (typeof Id === 'string') await send('GET', `/exec/${Id}/json`);
    });
    const { Id } = await send('POST', `/containers/${running}/exec`, EXEC_BODY);
    await fuzz(EXEC_START_BODY, 40, async (body) => {
      const isAttached = (body as { readonly Detach?: unknown }).Detach !== true;
      // Attached, the answer is a stream that belongs to another test.
      await send('POST', `/exec/${isAttached ? 'nosuch' : String(Id)}/start`, body);
    });
  });

  it('for volumes and secrets leave what can be removed', async () => {
    await fuzz(VOLUME_BODY, 80, async (body) => {
      const { Name } = await send('POST', '/volumes/create', body);
      if (typeof Name === 'string') await send('DELETE', `/volumes/${encodeURIComponent(Name)}`);
    });
    await fuzz(SECRET_BODY, 60, async (body) => {
      const { ID } = await send('POST', '/secrets/create', body);
      if (typeof ID !== 'string') return;
      await send('POST', `/secrets/${ID}/update?version=1`, body);
      await send('DELETE', `/secrets/${ID}`);
    });
    expect(await engine.dockerOk('secret', 'ls', '--format', '{{.Name}}')).toBe('fuzz');
    await engine.dockerOk('volume', 'prune', '-af');
    expect(await engine.dockerOk('volume', 'ls', '-q')).toBe('');
  });

  it('and queries of any kind are answered', async () => {
    const query = fc.tuple(
      fc.constantFrom(...QUERIES),
      fc.nat(),
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 30 }),
        fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
        fc.constantFrom('-1', '1e9', '99999999999999999999', '0x1', 'NaN', '{"status":{"x":true}}', '{"label":[]}'),
      ),
    );
    faults.length = 0;
    await fc.assert(
      fc.asyncProperty(query, async ([[method, path, names], pick, value]) => {
        const name = names[pick % names.length] ?? '';
        // A signal that is one would end it; a wait that is one would last.
        if (name === 'signal' && /^(sig)?[a-z0-9+-]+$/i.test(value.trim())) return;
        if (name === 'condition' && ['', 'not-running', 'next-exit', 'removed'].includes(value)) return;
        const given = new URLSearchParams({ stdout: '1', [name]: value.toWellFormed() });
        await send(method, `${path}?${given.toString()}`);
      }),
      { seed: SEED, numRuns: 150 },
    );
    expect(faults).toEqual([]);
    expect((await engine.api('GET', '/_ping')).body).toBe('OK');
    expect(engine.log()).not.toMatch(/level=(fatal|panic)/);
  });
});

function toText(body: unknown): string {
  return body === undefined ? '' : JSON.stringify(body).slice(0, 1500);
}
