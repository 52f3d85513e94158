/** The order of a reload: prepare all, apply all, or take all back. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, type Logger } from '../../../src/base/logger.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { LiveConfig } from '../../../src/service/live-config.ts';
import { createNotifier } from '../../../src/service/notify.ts';
import { createReload, type ReloadPart } from '../../../src/service/reload.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-reload-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('a reload', () => {
  let steps: string[];
  let kernel: FakeKernel;
  let config: LiveConfig;
  let lines: string[];

  const write = (settings: object): void => writeFileSync(join(directory, 'daemon.json'), JSON.stringify(settings));
  const part = (name: string, failing: readonly string[] = []): ReloadPart => {
    const step = (what: string) => (): void => {
      steps.push(`${what} ${name}`);
      if (failing.includes(what)) throw new Error(`${name} cannot ${what}`);
    };
    return {
      prepare: () => {
        step('prepare')();
        return { apply: step('apply'), undo: step('undo') };
      },
    };
  };
  const reloadWith = (...parts: readonly ReloadPart[]) => {
    const logger: Logger = {
      ...silentLogger,
      info: (text) => void lines.push(text),
      warn: (text) => void lines.push(text),
      error: (text, fields) =>
        void lines.push(`${text} ${JSON.stringify(fields?.['reason'] ?? '').replaceAll('"', '')}`.trim()),
    };
    return createReload({
      config,
      load: () => loadConfig(config.sources),
      parts,
      notifier: createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, silentLogger),
      logger,
      statusText: () => 'well',
      publish: async () => void steps.push('publish'),
    });
  };

  beforeEach(() => {
    steps = [];
    lines = [];
    kernel = new FakeKernel();
    write({});
    const argv = ['--config-file', join(directory, 'daemon.json'), '--sysconfig-file', join(directory, 'none')];
    config = new LiveConfig(loadConfig({ argv, environment: {}, version: '1' }));
  });

  it('prepares every part before it applies the first', async () => {
    write({ debug: true, mtu: 1400, labels: ['a=b'] });
    const outcome = await reloadWith(part('one'), part('two'))();
    expect(steps).toEqual(['prepare one', 'prepare two', 'apply one', 'apply two', 'publish']);
    expect(outcome).toEqual({ changed: ['debug', 'labels'], needsRestart: ['mtu'] });
    expect([config.get('debug'), config.get('label'), config.get('mtu')]).toEqual([true, ['a=b'], 1500]);
    expect(config.settings.find(({ option }) => option.flag === 'mtu')?.value).toBe(1500);
    expect(lines).toContain('Reloaded configuration: debug, labels');
  });

  it('changes nothing when a part is not ready', async () => {
    write({ debug: true });
    await expect(reloadWith(part('one'), part('two', ['prepare']))()).rejects.toThrow('two cannot prepare');
    expect(steps).toEqual(['prepare one', 'prepare two']);
    expect(config.get('debug')).toBe(false);
    expect(lines).toContain('configuration not reloaded: two cannot prepare');
  });

  it('takes everything back, last first, when a part fails, even one that cannot be taken back', async () => {
    write({ debug: true });
    const reload = reloadWith(part('one', ['undo']), part('two', ['apply']), part('three'));
    await expect(reload()).rejects.toThrow('two cannot apply');
    expect(steps.slice(3)).toEqual(['apply one', 'apply two', 'undo two', 'undo one']);
    expect(config.get('debug')).toBe(false);
    expect(lines).toContain('a part of the reload could not be taken back one cannot undo');
  });

  it('tells systemd of its beginning and end, whatever comes of it', async () => {
    await reloadWith(part('one'))();
    writeFileSync(join(directory, 'daemon.json'), '{');
    await expect(reloadWith()()).rejects.toThrow('daemon.json');
    const words = kernel.datagrams.map(([, text]) => text.split('\n')[0]);
    expect(words).toEqual(['RELOADING=1', 'READY=1', 'RELOADING=1', 'READY=1']);
  });

  it('keeps what needs a restart through every further reload', async () => {
    const reload = reloadWith(part('one'));
    write({ mtu: 1400, labels: ['a=b'] });
    for (let count = 0; count < 3; count += 1) expect((await reload()).needsRestart).toEqual(['mtu']);
    expect([config.get('mtu'), config.originOf('mtu').layer, config.get('label')]).toEqual([1500, 'default', ['a=b']]);
    write({});
    expect(await reload()).toEqual({ changed: ['labels'], needsRestart: [] });
  });

  it('runs one at a time', async () => {
    let running = 0;
    const slow: ReloadPart = {
      prepare: () => ({
        apply: async () => {
          running += 1;
          expect(running).toBe(1);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
        },
        undo: () => undefined,
      }),
    };
    const reload = reloadWith(slow, part('after'));
    const broken = reloadWith(part('never', ['prepare']));
    await Promise.all([reload(), reload(), reload(), expect(broken()).rejects.toThrow()]);
    expect(steps.filter((step) => step === 'apply after')).toHaveLength(3);
  });
});
