/** Networks as Compose and docker-py use them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, type CommandResult } from '../support/engine.ts';

const DOCKER_PY = new URL('../support/clients/docker_py_networks.py', import.meta.url).pathname;

let engine: TestEngine;
/** Of subnets that nobody else has. */
let prefix: string;
let missing: readonly string[];
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
  prefix = engine.poolBase.replace(/^10\.(\d+)\..*$/, '10.$1');
  const found = await Promise.all(
    ['docker-compose version', 'python3 -c "import docker"'].map(
      async (script) => [script, await engine.shell(script)] as const,
    ),
  );
  missing = found.filter(([, { code }]) => code !== 0).map(([script]) => script);
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Compose v1, on a project of two networks, one of them with addresses, and one that is there before. */
const PROJECT = (subnet: string): string => `
version: '2.4'
services:
  web:
    image: busybox
    command: ['sleep', '1000']
    networks:
      front: { aliases: [www, shop], ipv4_address: '${subnet}.9' }
      back: {}
  db:
    image: busybox
    command: ['sleep', '1000']
    networks: { back: { aliases: [store] }, shared: {} }
networks:
  front:
    driver_opts: { com.docker.network.bridge.enable_icc: 'true' }
    labels: { tier: front }
    ipam: { driver: default, config: [{ subnet: '${subnet}.0/24', gateway: '${subnet}.254', ip_range: '${subnet}.0/25' }] }
  back: { internal: true }
  shared: { external: true, name: shared }
`;

describe('Compose 1.29', () => {
  const compose = async (...args: readonly string[]): Promise<CommandResult> =>
    run('docker-compose', ['-p', 'shop', '-f', join(engine.root, 'shop', 'docker-compose.yml'), ...args], {
      env: engine.cliEnvironment,
    });
  const ids = async (): Promise<string> =>
    engine.dockerOk('ps', '-q', '--no-trunc', '--filter', 'label=com.docker.compose.project=shop');

  it('makes what a project says, once, and takes it away', async (context) => {
    if (missing.some((what) => what.includes('compose'))) context.skip(`cannot be run here: ${missing.join(', ')}`);
    const subnet = `${prefix}.77`;
    mkdirSync(join(engine.root, 'shop'));
    writeFileSync(join(engine.root, 'shop', 'docker-compose.yml'), PROJECT(subnet));
    const early = await compose('up', '-d');
    expect([early.code, early.stderr]).toEqual([1, expect.stringContaining('shared')]);
    await engine.dockerOk('network', 'create', 'shared');
    const first = await compose('up', '-d');
    expect([first.stderr, first.code]).toEqual([expect.any(String), 0]);
    const made = await ids();
    const second = await compose('up', '-d');
    expect(second.code).toBe(0);
    expect(second.stderr).toContain('shop_web_1 is up-to-date');
    expect(second.stderr).toContain('shop_db_1 is up-to-date');
    expect(await ids()).toBe(made);
    const web = JSON.parse(
      await engine.dockerOk('inspect', '-f', '{{json .NetworkSettings.Networks}}', 'shop_web_1'),
    ) as object;
    expect(web).toMatchObject({
      shop_front: {
        IPAddress: `${subnet}.9`,
        Gateway: `${subnet}.254`,
        Aliases: expect.arrayContaining(['web', 'www', 'shop']) as unknown,
      },
      shop_back: { Gateway: '' },
    });
    expect(
      await engine.dockerOk(
        'network',
        'inspect',
        '-f',
        '{{.Internal}} {{len .Containers}} {{index .Labels "tier"}}',
        'shop_back',
        'shop_front',
      ),
    ).toBe('true 2 \nfalse 1 front');
    const down = await compose('down', '-t', '0');
    expect(down.code).toBe(0);
    expect(down.stderr).toContain('Network shared is external, skipping');
    expect(await engine.dockerOk('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}')).toBe('shared');
    await engine.dockerOk('network', 'rm', 'shared');
  });
});

describe('docker-py', () => {
  it('finds its networks as its own tests expect them', async (context) => {
    if (missing.some((what) => what.includes('python3'))) context.skip(`cannot be run here: ${missing.join(', ')}`);
    const { code, stdout, stderr } = await run('python3', [DOCKER_PY, `${prefix}.78`], { env: engine.cliEnvironment });
    expect([stderr, code]).toEqual(['', 0]);
    expect(JSON.parse(stdout)).toEqual({
      create: ['Id', 'Warning'],
      warning: '',
      ipam: true,
      driver: ['bridge', 'local'],
      listed: [true, ['pooled'], ['pooled'], ['pooled']],
      'host driver': [403, 'APIError'],
      'no driver': [404, 'NotFound'],
      twice: [409, 'APIError'],
      labels: [{ 'com.docker.py.test': 'label' }, true, true],
      scope: ['labelled', [404, 'NotFound'], {}],
      connected: true,
      aliases: [true, true],
      address: true,
      again: [403, 'APIError'],
      'in use': [403, 'APIError'],
      disconnected: {},
      'off again': [500, 'APIError'],
      'off by force': [500, 'APIError'],
      'on create': [true, true, true, { a: 'b' }],
      started: true,
      members: [true],
      pruned: ['labelled', 'pooled'],
      gone: [404, 'NotFound'],
      predefined: [403, 'APIError'],
      words: 'network pooled not found',
    });
  });
});
