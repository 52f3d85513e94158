/** Builds that run into a full disk or lose their registry: what they say, that they leave nothing, and that the next goes on. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { makeChaosDisk, type ChaosDisk } from '../support/chaos-disk.ts';
import { generator, noise } from '../support/chaos-images.ts';
import { run, TestEngine, type CommandResult } from '../support/engine.ts';
import { keptIn } from '../support/kept-in-store.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { registryAbsence, startRegistry } from '../support/registry.ts';

const MIB = 1024 * 1024;
const SPARE_KIB = 12 * 1024;
const obstacle = obstacleToContainers() ?? LoopDisk.obstacle('ext4');

describe.skipIf(obstacle !== null)(`builds${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  const context = mkdtempSync(join(tmpdir(), 'moored-build-faults-'));
  let disk: ChaosDisk;
  let engine: TestEngine;

  beforeAll(async () => {
    mkdirSync(join(context, 'large'));
    writeFileSync(join(context, 'large/noise'), noise(generator(1), 20 * MIB));
    writeFileSync(join(context, 'small'), 'small');
    disk = await makeChaosDisk('ext4', 192);
    engine = await TestEngine.start('--data-root', disk.path, '--storage-driver', 'overlay2', '--bridge', 'none');
    await engine.importBusybox();
    // Once all places have been made that are made when they are needed; its file is what stages have too much of.
    await outputOf('large', 'RUN head -c 8000000 /dev/urandom > /noise\nCOPY --from=busybox /bin/busybox /');
    await engine.dockerOk('builder', 'prune', '-af');
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
    rmSync(context, { recursive: true });
  });

  const build = (tag: string, lines: string, base = 'busybox', directory = context): Promise<CommandResult> =>
    run('docker', ['build', '--network', 'none', '-f', '-', '-t', tag, directory], {
      stdin: `FROM ${base}\n${lines}\n`,
      env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
    });
  const outputOf = async (...args: Parameters<typeof build>): Promise<string> => {
    const { code, stdout, stderr } = await build(...args);
    expect([code, stderr.replace(/^DEPRECATED:[\s\S]*\n\n/, '')], stdout).toEqual([0, '']);
    return stdout;
  };
  const kept = () => keptIn(disk.path, join(engine.root, 'exec'), 'overlay2');

  it.each([
    // More than there is room for while the command runs.
    ['RUN', 'RUN head -c 20000000 /dev/urandom > /made', /returned a non-zero code: 1/, null],
    // The layer has room, but its archive beside it has none.
    ['the layer of a RUN', 'RUN head -c 7000000 /dev/urandom > /made', /no space left on device/i, null],
    ['COPY', 'COPY --from=large /noise /made', /no space left on device/i, null],
    ['the context', 'COPY noise /made', /no space left on device/i, 'large'],
  ])(
    'say that the disk is full in %s, leave nothing, and go on when there is room',
    async (_, line, said, directory) => {
      const before = kept();
      const from = directory === null ? join(context, 'empty') : join(context, directory);
      mkdirSync(from, { recursive: true });
      disk.tighten(SPARE_KIB);
      try {
        const { code, stdout, stderr } = await build('full', line, 'busybox', from);
        expect(code, stdout).not.toBe(0);
        expect(stderr).toMatch(said);
        // Small things are still built.
        await outputOf('fits', 'RUN echo fits > /fits', 'busybox', join(context, 'empty'));
      } finally {
        disk.loosen();
      }
      expect(await engine.dockerOk('ps', '-aq')).toBe('');
      await engine.dockerOk('rmi', 'fits');
      await engine.dockerOk('builder', 'prune', '-af');
      expect(kept()).toEqual(before);
      await outputOf('full', line, 'busybox', from);
      expect(await engine.dockerOk('run', '--rm', '--network', 'none', 'full', 'stat', '-c', '%s', '/made')).toMatch(
        /^\d{7,8}$/,
      );
      await engine.dockerOk('rmi', 'full');
      await engine.dockerOk('builder', 'prune', '-af');
    },
  );

  it.skipIf(registryAbsence !== null)(
    `tell of a registry that has gone${registryAbsence === null ? '' : ` (skipped: ${registryAbsence})`}`,
    async () => {
      const registry = await startRegistry();
      const name = `${registry.host}/of/base:1`;
      await engine.dockerOk('tag', 'busybox', name);
      await engine.dockerOk('push', name);
      await engine.dockerOk('rmi', name);
      await registry[Symbol.asyncDispose]();
      const before = kept();
      const { code, stderr } = await build('lost', 'RUN true', name);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/connection refused|ECONNREFUSED/)]);
      expect(kept()).toEqual(before);
      // What is here needs no registry.
      await engine.dockerOk('tag', 'busybox', name);
      await outputOf('found', 'RUN true', name);
    },
  );
});
