import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { DataLossError } from '../../../../src/base/errors.ts';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { Container } from '../../../../src/engine/containers/container.ts';
import type { ContainerPaths } from '../../../../src/engine/containers/options.ts';
import {
  decodeRow,
  encodeState,
  type ContainerDocument,
  type StateDocument,
} from '../../../../src/engine/containers/record.ts';
import { Registry } from '../../../../src/engine/containers/registry.ts';
import type { ContainerRows } from '../../../../src/engine/state/containers.ts';
import { ContainersFixture } from '../../../support/containers-fixture.ts';

const ROW = {
  id: 'c'.repeat(64) as ContainerId,
  name: 'box',
  imageId: '',
  createdAt: 1n as Timestamp,
  doc: '{"spec":{"host":{}},"mounts":[]}',
};

describe('a row', () => {
  it('keeps the state to the nanosecond', () => {
    const time = fc.bigInt({ min: 0n, max: 1n << 62n }).map((value) => value as Timestamp);
    fc.assert(
      fc.property(time, time, fc.string(), fc.boolean(), (startedAt, finishedAt, error, oomKilled) => {
        const live: StateDocument = {
          phase: 'settled',
          state: {
            status: 'exited',
            restartCount: 1,
            lastExit: { exitCode: 1, startedAt, finishedAt, oomKilled, error },
          },
          desired: 'stopped',
          sandbox: { netnsPath: null, endpoints: [] },
          hasStarted: true,
          filesOf: null,
        };
        expect(decodeRow({ ...ROW, state: encodeState(live) }).live).toEqual(live);
      }),
    );
  });

  it('that is damaged is said to be, and never taken for something else', () => {
    expect(() => decodeRow({ ...ROW, state: '{"phase":' })).toThrow(DataLossError);
    const settled = JSON.stringify({ state: { status: 'created' } });
    expect(decodeRow({ ...ROW, state: settled }).live.state.status).toBe('created');
    for (const doc of ['x', 'null', '{}', '{"spec":{}}', '{"spec":{"host":{}}}', '7', '']) {
      const cannot = `state of container ${ROW.id} cannot be read`;
      expect(() => decodeRow({ ...ROW, state: settled, doc }), doc).toThrow(cannot);
    }
    for (const state of ['null', '{}', '{"state":{}}', '[]']) {
      expect(() => decodeRow({ ...ROW, state }), state).toThrow(DataLossError);
    }
  });

  it('brings back the whole container', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ labels: { a: 'b' }, volumes: ['/cache'], host: { tmpfs: { '/run': '' } } }, 'box');
    const before = engine.get(id);
    await engine.reopen();
    expect(engine.get(id)).toEqual(before);
  });
});

describe('the registry', () => {
  let registry: Registry;
  /** With no more than the registry looks at. */
  const container = (id: string, name: string): Container =>
    new Container(
      {
        id: id as ContainerId,
        name,
        createdAt: 1n as Timestamp,
        document: {} as ContainerDocument,
        live: {} as StateDocument,
      },
      { rows: {} as ContainerRows, paths: {} as ContainerPaths, logPath: null },
    );
  const put = (id: string, name: string): Container => {
    const made = container(id.padEnd(64, '0'), name);
    registry.reserveName(name, made.id);
    registry.add(made);
    return made;
  };
  beforeEach(() => {
    registry = new Registry();
  });
  afterEach(() => {
    for (const one of registry.all()) registry.delete(one);
    expect(registry.all()).toEqual([]);
  });

  it('finds by full id, then name, then prefix', () => {
    const first = put('abc1', 'one');
    const second = put('abd2', 'abc');
    const named = put('eee3', first.id);
    expect(registry.resolve(first.id)).toBe(first);
    expect(registry.resolve('abc')).toBe(second);
    expect(registry.resolve('/abc')).toBe(second);
    expect(registry.resolve('abc1')).toBe(first);
    expect(registry.resolve('abd')).toBe(second);
    expect(registry.resolve('e')).toBe(named);
  });

  it('tells what is nobody’s, and what is more than one’s', () => {
    put('abc1', 'one');
    put('abd2', 'two');
    expect(() => registry.resolve('ab')).toThrow('multiple IDs found with provided prefix: ab');
    for (const ref of ['', '/', 'ff', 'three', 'ABC1', '/abc1', 'abc1'.padEnd(65, '0')]) {
      expect(() => registry.resolve(ref), ref).toThrow(`No such container: ${ref}`);
    }
  });

  it('keeps names: one owner each, taken before there is a container, given back with it', () => {
    const one = put('abc1', 'one');
    expect(() => registry.reserveName('one', 'x' as ContainerId)).toThrow(`already in use by container "${one.id}"`);
    registry.reserveName('two', 'x' as ContainerId);
    expect(registry.find('two')).toBeNull();
    expect(registry.hasName('two')).toBe(true);
    registry.releaseName('two');
    registry.delete(one);
    expect(registry.hasName('one')).toBe(false);
    put('abc2', 'one');
  });
});
