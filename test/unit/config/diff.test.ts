import { describe, expect, it } from 'vitest';
import { diffConfig } from '../../../src/config/diff.ts';
import { formatOrigin } from '../../../src/config/origin.ts';
import { OPTIONS } from '../../../src/config/options.ts';
import { load, type Given } from './sources.ts';

const changes = (from: Given, to: Given): readonly unknown[] =>
  diffConfig(load(from), load(to)).map(({ key, from: before, to: after, reloadable, origin }) => [
    key,
    before,
    after,
    reloadable ? 'live' : 'restart',
    formatOrigin(origin),
  ]);

describe('a reload', () => {
  it('finds what changed, whether it applies live, and who says so', () => {
    expect(
      changes(
        { json: { debug: true, mtu: 1400, labels: ['a=1'] } },
        { json: { debug: false, mtu: 1450, labels: ['a=1'] }, sysconfig: 'DOCKER_LOG_LEVEL=warn\n' },
      ),
    ).toEqual([
      ['debug', true, false, 'live', '/etc/docker/daemon.json:2'],
      ['log-level', 'info', 'warn', 'live', '/etc/sysconfig/docker:1 DOCKER_LOG_LEVEL'],
      ['mtu', 1400, 1450, 'restart', '/etc/docker/daemon.json:3'],
    ]);
  });

  it('takes every option that nothing sets any more back to its default', () => {
    const given: Given = {
      json: {
        'live-restore': true,
        'max-concurrent-downloads': 9,
        'insecure-registries': ['r'],
        'default-runtime': 'runc',
        'shutdown-timeout': 3,
        runtimes: { x: { path: '/x' } },
      },
    };
    expect(changes(given, {})).toEqual([
      ['runtimes', { x: '/x' }, {}, 'live', 'default'],
      ['default-runtime', 'runc', '', 'live', 'default'],
      ['insecure-registries', ['r'], [], 'live', 'default'],
      ['live-restore', true, false, 'live', 'default'],
      ['max-concurrent-downloads', 9, 3, 'live', 'default'],
      ['shutdown-timeout', 3, 15, 'live', 'default'],
    ]);
  });

  it('goes back to the layer below when a stronger one falls silent', () => {
    const sysconfig = 'DOCKER_LOG_LEVEL=warn\n';
    expect(changes({ sysconfig, json: { 'log-level': 'error' } }, { sysconfig })).toEqual([
      ['log-level', 'error', 'warn', 'live', '/etc/sysconfig/docker:1 DOCKER_LOG_LEVEL'],
    ]);
  });

  it('sees the order of lists and not that of maps, nor a value that only moved', () => {
    const one: Given = { json: { dns: ['10.0.0.1', '10.0.0.2'], 'log-opts': { a: '1', b: '2' }, debug: true } };
    const other: Given = { json: { dns: ['10.0.0.2', '10.0.0.1'], 'log-opts': { b: '2', a: '1' } }, argv: ['-D'] };
    expect(diffConfig(load(one), load(other)).map(({ key }) => key)).toEqual(['dns']);
    expect(diffConfig(load(one), load(one))).toEqual([]);
  });

  it('is live for what dockerd reloads, and for more', () => {
    const live = OPTIONS.filter((option) => option.live === true).map(({ flag }) => flag);
    expect(live).toEqual(
      expect.arrayContaining([
        'add-runtime',
        'debug',
        'default-cgroupns-mode',
        'default-ipc-mode',
        'default-runtime',
        'default-shm-size',
        'default-stop-timeout',
        'feature',
        'insecure-registry',
        'label',
        'live-restore',
        'max-concurrent-downloads',
        'max-concurrent-uploads',
        'max-download-attempts',
        'registry-mirror',
        'shutdown-timeout',
      ]),
    );
    expect(live).not.toContain('data-root');
  });
});
