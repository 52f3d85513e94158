import { closeSync, chmodSync, fstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConflictError, InvalidArgumentError, NotFoundError } from '../../../../../src/base/errors.ts';
import type { ContainerChange } from '../../../../../src/engine/containers/types.ts';
import { ContainersFixture, exampleExec } from '../../../../support/containers-fixture.ts';

function watchOf(engine: ContainersFixture): { readonly seen: string[] } & Disposable {
  const seen: string[] = [];
  const note = ({ kind, containerId }: ContainerChange): void => {
    const state = kind === 'removed' ? '' : `:${engine.get(containerId).state.status}`;
    if (seen.at(-1) !== `${kind}${state}`) seen.push(`${kind}${state}`);
  };
  return Object.assign(engine.room.watch(note), { seen });
}

describe('whoever watches containers', () => {
  it('is told of each state while the verb is under way', async () => {
    await using engine = await ContainersFixture.open();
    using watch = watchOf(engine);
    const id = await engine.create();
    expect(watch.seen).toEqual(['added:created']);
    await engine.room.start(id);
    expect(watch.seen.at(-1)).toBe('changed:running');
    await engine.room.pause(id);
    expect(watch.seen.at(-1)).toBe('changed:paused');
    await engine.room.remove(id, { force: true, volumes: false });
    expect(watch.seen.slice(-3)).toEqual(['changed:exited', 'changed:removing', 'removed']);
  });

  it('is told of a start that failed, of which there is no event', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    engine.script.failNth(3);
    using watch = watchOf(engine);
    await expect(engine.room.start(id)).rejects.toThrow();
    expect(watch.seen.length).toBeGreaterThan(0);
    expect(engine.actions).toEqual(['create']);
  });

  it('is told of execs, also when their records go, and no more once it has stopped', async () => {
    await using engine = await ContainersFixture.open({ programOf: () => ({ kind: 'wait' }) });
    const id = await engine.run();
    const kinds: string[] = [];
    const watch = engine.room.watch(({ kind }) => {
      if (kind.startsWith('exec')) kinds.push(kind);
    });
    const execId = await engine.room.createExec(id, exampleExec());
    await engine.room.startExecDetached(execId);
    expect(kinds).toEqual(['exec-added', 'exec-changed', 'exec-changed']);
    await engine.room.signalExec(execId, 'KILL');
    await engine.until(() => engine.room.getExec(execId).exitCode !== null);
    await engine.clock.advance(5 * 60 * 1000);
    expect(kinds.slice(3)).toEqual(['exec-changed', 'exec-removed']);
    expect(() => engine.room.getExec(execId)).toThrow(NotFoundError);
    watch[Symbol.dispose]();
    const left = await engine.room.createExec(id, exampleExec());
    expect(kinds).toHaveLength(5);
    await engine.room.remove(id, { force: true, volumes: false });
    expect(() => engine.room.getExec(left)).toThrow(NotFoundError);
  });
});

describe('an exec', () => {
  it('takes signals while it runs, and only then', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const execId = await engine.room.createExec(id, exampleExec());
    await expect(engine.room.signalExec(execId, 'TERM')).rejects.toThrow(ConflictError);
    await engine.room.startExecDetached(execId);
    await expect(engine.room.signalExec(execId, 'NONSENSE')).rejects.toThrow(InvalidArgumentError);
    await engine.room.signalExec(execId, 'KILL');
    await expect(engine.room.signalExec('f'.repeat(64), 'KILL')).rejects.toThrow(NotFoundError);
  });
});

describe('the root of a container', () => {
  it('is opened while it runs, and only then', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    expect(() => engine.room.openRoot(id)).toThrow(/is not running/);
    await engine.room.start(id);
    const fd = engine.room.openRoot(id);
    expect(fstatSync(fd).isDirectory()).toBe(true);
    closeSync(fd);
  });

  it('is searched for programs without being led out of it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const root = join(engine.root, 'containers', id, 'rootfs');
    mkdirSync(join(root, 'bin'), { recursive: true });
    writeFileSync(join(root, 'bin/busybox'), '');
    chmodSync(join(root, 'bin/busybox'), 0o755);
    writeFileSync(join(root, 'bin/plain'), '', { mode: 0o644 });
    symlinkSync('/bin/busybox', join(root, 'bin/ash'));
    symlinkSync('/proc/self/exe', join(root, 'bin/bash'));
    const paths = ['/bin/bash', '/bin/plain', '/bin', '/bin/ash'];
    expect(engine.room.findProgram(id, paths)).toBe('/bin/ash');
    expect(engine.room.findProgram(id, ['/bin/zsh'])).toBeNull();
  });

  it('tells its control group while it runs, by the driver of that start', async () => {
    const cgroup = { version: '2', driver: 'systemd', parent: 'docker-web.slice' } as const;
    await using engine = await ContainersFixture.open({ options: { cgroup } });
    const id = await engine.create();
    expect(engine.get(id)).toMatchObject({ cgroupPath: null, unit: null });
    await engine.room.start(id);
    expect(engine.get(id)).toMatchObject({
      cgroupPath: `/docker.slice/docker-web.slice/docker-${id}.scope`,
      unit: `docker-${id}.scope`,
    });
    await engine.reopen();
    expect(engine.get(id).unit).toBe(`docker-${id}.scope`);
  });
});
