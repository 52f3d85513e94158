/**
 * Bad input at the endpoints of containers, execs, volumes, events and secrets: status and text of each answer. The table
 * beside this file was laid beside a real dockerd's answers (20.10; docker 28's texts where they differ) and is our own
 * word since (see test/support/error-table.ts). `$C`, `$R`, `$P` and `$E` stand for a container that was created, one that
 * runs, one that is paused, and an exec.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { answersOf, readErrorTable, told } from '../support/error-table.ts';

const TABLE = new URL('./container-errors.tsv', import.meta.url);

describe('bad input', () => {
  let engine: TestEngine;
  let names: ReadonlyMap<string, string>;

  beforeAll(async () => {
    engine = await TestEngine.start('--bridge', 'none');
    await engine.importBusybox();
    const run = ['run', '-d', 'busybox', 'sleep', '1000'];
    const C = await engine.dockerOk('create', '--name', 'cc', '-v', 'vol1:/v', 'busybox', 'true');
    const R = await engine.dockerOk(...run.toSpliced(2, 0, '--name', 'rr'));
    const P = await engine.dockerOk(...run.toSpliced(2, 0, '--name', 'pp'));
    await engine.dockerOk('pause', 'pp');
    const exec = await engine.api('POST', `/containers/${R}/exec`, { Cmd: ['true'] });
    const E = (exec.json as { readonly Id: string }).Id;
    names = new Map(Object.entries({ C, R, P, E }));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it('is answered as in the table, and changes nothing', async () => {
    const before = await engine.dockerOk('ps', '-a', '--format', '{{.Names}}');
    const rows = readErrorTable(TABLE);
    expect(await answersOf(engine, TABLE, names)).toEqual(rows.map(told));
    expect(await engine.dockerOk('ps', '-a', '--format', '{{.Names}}')).toBe(before);
    expect(await engine.dockerOk('volume', 'ls', '-q')).toBe('vol1');
    expect(rows.filter(({ answer }) => answer.startsWith('5') && !/^50[13]/.test(answer))).toEqual([]);
  });
});
