import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type LayerFiles } from '../support/synthetic-image.ts';

const WHY = registryAbsence === null ? '' : ` (${registryAbsence})`;

/*
 * Images of as many layers as Docker takes: the names of their directories must fit into one page of mount options, or
 * go by the newer calls.
 */
describe.skipIf(registryAbsence !== null)(`deep images${WHY}`, () => {
  let registry: TestRegistry;
  let engine: TestEngine;

  beforeAll(async () => {
    registry = await startRegistry();
    engine = await TestEngine.start();
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  async function push(count: number): Promise<string> {
    const layers = Array.from({ length: count }, (_, index): LayerFiles => {
      const own = { [`layer${String(index)}`]: String(index), last: String(index) };
      return index === 0 ? { 'bin/': '', 'bin/busybox': readFileSync('/bin/busybox'), ...own } : own;
    });
    await pushImage(registry.host, 'deep/image', String(count), await syntheticImage(layers));
    return `${registry.host}/deep/image:${String(count)}`;
  }

  it('pulls 127 layers, runs on them and takes them away', async () => {
    const name = await push(127);
    await engine.dockerOk('pull', '-q', name);
    const script = 'cat /layer0 /layer126 /last; echo; ls / | grep -c ^layer; echo new > /last';
    const words = script.replaceAll(/\b(cat|ls|grep)\b/g, '/bin/busybox $1');
    const output = await engine.dockerOk('run', '--rm', '--network', 'none', name, '/bin/busybox', 'sh', '-c', words);
    expect(output.split('\n')).toEqual(['0126126', '127']);
    expect((await engine.dockerOk('history', '-q', name)).split('\n')).toHaveLength(127);
    await engine.dockerOk('rmi', name);
    expect(await engine.dockerOk('images', '-q')).toBe('');
  });

  it('refuses what is too deep for Docker, and leaves nothing', async () => {
    const name = await push(135);
    const { code, stderr } = await engine.docker(['pull', '-q', name]);
    expect([code, stderr.trim()]).toEqual([1, 'failed to register layer: max depth exceeded']);
    expect(readdirSync(join(engine.dataRoot, 'overlay2')).filter((entry) => entry !== 'l')).toEqual([]);
  });
});
