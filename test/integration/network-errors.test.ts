/**
 * Bad input at the endpoints of networks, and at a container's wishes for them: status and text of each answer. The table
 * beside this file was laid beside a real dockerd's answers (20.10; docker 28's texts where they differ) and is our own
 * word since (see test/support/error-table.ts).
 *
 * `conf` is a configuration, and `made` was made from it. `cc`, `oc` and `hc` were created, `rr` runs on net1, `oo` on none, `hh` on the host's network, `jj` on that of `rr`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { answersOf, readErrorTable, told } from '../support/error-table.ts';

const TABLE = new URL('./network-errors.tsv', import.meta.url);
const TWICE = 'com.docker.network.bridge.name';

describe('bad input about networks', () => {
  let engine: TestEngine;
  let names: ReadonlyMap<string, string>;

  beforeAll(async () => {
    engine = await TestEngine.start();
    await engine.importBusybox();
    await engine.dockerOk('network', 'create', 'net1');
    await engine.dockerOk('network', 'create', '--subnet', '10.77.0.0/24', 'net2');
    await engine.dockerOk('network', 'create', '-o', `${TWICE}=${engine.bridge}x`, 'net3');
    await engine.dockerOk('network', 'create', '--config-only', '--subnet', '10.79.0.0/24', 'conf');
    await engine.dockerOk('network', 'create', '--config-from', 'conf', 'made');
    for (const [name, network] of [
      ['cc', 'bridge'],
      ['oc', 'none'],
      ['hc', 'host'],
    ] as const) {
      await engine.dockerOk('create', '--name', name, '--network', network, 'busybox', 'true');
    }
    const run = async (name: string, network: string): Promise<unknown> =>
      engine.dockerOk('run', '-d', '--name', name, '--network', network, 'busybox', 'sleep', '1000');
    for (const [name, network] of [
      ['rr', 'net1'],
      ['r2', 'net2'],
      ['oo', 'none'],
      ['hh', 'host'],
    ] as const) {
      await run(name, network);
    }
    await run('jj', 'container:rr');
    const B = await engine.dockerOk('network', 'inspect', '-f', '{{.Id}}', 'bridge');
    names = new Map(Object.entries({ B, T: `${engine.bridge}x` }));
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it('is answered as in the table, and changes nothing', async () => {
    const state = async (): Promise<string> =>
      (await engine.dockerOk('network', 'ls', '--format', '{{.ID}} {{.Name}}')) +
      (await engine.dockerOk('network', 'inspect', '-f', '{{json .Containers}}', 'net1', 'net2', 'net3'));
    const before = await state();
    const rows = readErrorTable(TABLE);
    expect(rows.length).toBeGreaterThan(80);
    expect(await answersOf(engine, TABLE, names)).toEqual(rows.map(told));
    expect(await state()).toBe(before);
  });
});
