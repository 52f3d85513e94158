import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { AttachPoint } from '../../../../src/engine/runtime/conmon/attach-point.ts';
import type { ExitNote } from '../../../../src/engine/runtime/conmon/exits.ts';
import { RunDirectory } from '../../../../src/engine/runtime/conmon/run-directory.ts';
import { ConmonTask } from '../../../../src/engine/runtime/conmon/task.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeKernel } from '../../../support/fake-kernel.ts';

describe('a task that the OOM killer has ended', () => {
  it('is known as such also when its cgroup has gone before conmon has spoken, as under systemd', async () => {
    const path = mkdtempSync(join(tmpdir(), 'conmon-task-'));
    const ended = Promise.withResolvers<void>();
    const spoken = Promise.withResolvers<ExitNote>();
    const never = new Promise<void>(() => undefined);
    const clock = new FakeClock();
    const nature = { terminal: false, stdin: false, keepStdinOpen: false };
    let hasCgroup = true;
    const process = { pid: 7, exited: ended.promise, signal: () => true, [Symbol.dispose]: () => undefined };
    try {
      const task = new ConmonTask({
        clock,
        containerId: 'c'.repeat(64) as ContainerId,
        pid: 7,
        process,
        monitor: { ...process, exited: never },
        directory: new RunDirectory(path),
        bundlePath: path,
        nature,
        attachPoint: new AttachPoint(new FakeKernel(), clock, path, nature),
        handedOver: spoken.promise,
        lastWord: () => null,
        wasOomKilled: () => hasCgroup,
        start: async () => undefined,
        release: async () => undefined,
      });
      ended.resolve();
      await ended.promise;
      hasCgroup = false;
      spoken.resolve({ exitCode: 137, exitedAt: 5n as Timestamp });
      expect(await task.exit).toMatchObject({ exitCode: 137, oomKilled: true });
    } finally {
      rmSync(path, { recursive: true });
    }
  });
});
