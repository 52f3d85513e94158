import { describe, expect, it } from 'vitest';
import type { ConfigFilesChange, ConfigKey, ConfigPort, SetConfigOptions } from '../../../../src/dbus/config-port.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { CONFIG_PATH } from '../../../../src/dbus/names.ts';
import { exportConfig } from '../../../../src/dbus/objects/config.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

const KEY: ConfigKey = {
  key: 'DOCKER_OPTS',
  value: '--debug',
  default: '',
  type: 'string',
  description: 'Flags.',
  path: 'System/Management',
  serviceRestart: ['docker'],
  serviceReload: [],
  file: '/etc/sysconfig/docker',
  line: 7,
  isSet: true,
  pendingRestart: false,
};
const FACTS = {
  Value: variant('s', '--debug'),
  Default: variant('s', ''),
  Type: variant('s', 'string'),
  Description: variant('s', 'Flags.'),
  Path: variant('s', 'System/Management'),
  ServiceRestart: variant('as', ['docker']),
  ServiceReload: variant('as', []),
  File: variant('s', '/etc/sysconfig/docker'),
  Line: variant('u', 7),
  IsSet: variant('b', true),
  PendingRestart: variant('b', false),
};

/** A port that answers, and remembers what it was asked. */
function fixture() {
  const asked: unknown[] = [];
  const listeners = new Set<(change: ConfigFilesChange | null) => void>();
  const state = { revision: 'r1', pendingRestart: [] as readonly string[] };
  const port: ConfigPort = {
    files: ['/etc/sysconfig/docker'],
    get revision() {
      return state.revision;
    },
    get pendingRestart() {
      return state.pendingRestart;
    },
    isWritable: true,
    list: () => [KEY],
    get: () => KEY,
    describeOptions: () => [
      {
        name: 'mtu',
        type: 'x',
        default: 1500,
        minimum: 68,
        maximum: null,
        choices: [],
        reloadable: false,
        deprecated: false,
        secret: false,
        refused: '',
        key: 'DOCKER_MTU',
        help: 'MTU',
      },
    ],
    getOptions: () => [
      { name: 'mtu', type: 'x', value: 1400, origin: 'sysconfig' },
      { name: 'labels', type: 'as', value: ['a=b'], origin: 'daemon.json' },
    ],
    parseOptions: () => ({
      options: [{ name: 'debug', type: 'b', value: true }],
      problems: [{ key: '', severity: 'error', code: 'invalid-flag', text: 'no' }],
    }),
    formatOptions: (options) => Object.keys(options).join(' '),
    validate: () => ({ valid: false, problems: [{ key: 'A', severity: 'warning', code: 'crlf', text: 'text' }] }),
    set: (...args) => {
      asked.push(args);
      return Promise.resolve({ revision: 'r2', restartNeeded: ['mtu'], checkpoint: 'c1' });
    },
    unset: (...args) => {
      asked.push(args);
      return Promise.resolve({ revision: 'r3', restartNeeded: [], checkpoint: 'c2' });
    },
    confirm: (...args) => {
      asked.push(args);
      return Promise.resolve();
    },
    rollback: (...args) => {
      asked.push(args);
      return Promise.resolve('r4');
    },
    listBackups: () => [{ checkpoint: 'c1', timeMs: 1_700_000_000_123, uid: 1000, revision: 'r1' }],
    onChange: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const tree = new RecordingTree();
  const exported = exportConfig({ port, tree });
  return {
    asked,
    state,
    tree,
    exported,
    tell: (change: ConfigFilesChange | null) => {
      for (const listener of listeners) listener(change);
    },
    call: (member: string, ...args: readonly unknown[]) => tree.call(CONFIG_PATH, member, args, callOf({ uid: 1000 })),
  };
}

describe('the Config object', () => {
  it.each([
    ['List', [], [{ DOCKER_OPTS: FACTS }]],
    ['Get', ['DOCKER_OPTS'], ['--debug', FACTS]],
    [
      'DescribeOptions',
      [],
      [
        {
          mtu: {
            Type: variant('s', 'x'),
            Default: variant('x', 1500n),
            Min: variant('x', 68n),
            Choices: variant('as', []),
            Reloadable: variant('b', false),
            Deprecated: variant('b', false),
            Secret: variant('b', false),
            Refused: variant('s', ''),
            Key: variant('s', 'DOCKER_MTU'),
            Description: variant('s', 'MTU'),
          },
        },
      ],
    ],
    [
      'GetOptions',
      [],
      [
        { mtu: variant('x', 1400n), labels: variant('as', ['a=b']) },
        { mtu: 'sysconfig', labels: 'daemon.json' },
      ],
    ],
    ['ParseOptions', ['x'], [{ debug: variant('b', true) }, [['error', 'invalid-flag', 'no']]]],
    ['FormatOptions', [{ debug: variant('b', true) }], ['debug']],
    ['Validate', [{}], [false, [['A', 'warning', 'crlf', 'text']]]],
    ['Set', [{}, 'r1', {}], ['r2', ['mtu'], 'c1']],
    ['Unset', [['A'], 'r1'], ['r3', []]],
    ['Confirm', ['c1'], []],
    ['Rollback', ['c1'], ['r4']],
    ['ListBackups', [], [[['c1', 1_700_000_000_123_000n, '1000', 'r1']]]],
  ] as const)('answers %s', async (member, args, answer) => {
    expect(await fixture().call(member, ...args)).toEqual(answer);
  });

  it.each<[string, Record<string, unknown>, Partial<SetConfigOptions>]>([
    ['nothing', {}, { apply: 'none', rollbackAfterMs: null, backup: true }],
    ['reload', { Apply: variant('s', 'reload') }, { apply: 'reload' }],
    ['a time', { RollbackAfter: variant('t', 90_000_000n) }, { rollbackAfterMs: 90_000 }],
    ['no time', { RollbackAfter: variant('t', 0n) }, { rollbackAfterMs: null }],
    ['no backup', { Backup: variant('b', false) }, { backup: false }],
  ])('Set with %s', async (_, options, wanted) => {
    const { call, asked } = fixture();
    const changes = { A: variant('s', 'x') };
    await call('Set', changes, 'r1', options);
    expect(asked).toEqual([[changes, 'r1', expect.objectContaining({ uid: 1000, ...wanted })]]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a restart', { Apply: variant('s', 'restart') }, 'RestartUnit'],
    ['another word', { Apply: variant('s', 'now') }, 'Apply is "none" or "reload", not "now"'],
    ['infinity', { RollbackAfter: variant('t', 2n ** 64n - 1n) }, 'RollbackAfter is at most a day'],
    ['25 hours', { RollbackAfter: variant('t', 90_000_000_000n) }, 'RollbackAfter is at most a day'],
    ['text for a time', { RollbackAfter: variant('s', '1') }, "must be of type 't'"],
    ['a key that is none', { Nonsense: variant('s', '1') }, 'unknown key "Nonsense"'],
  ])('refuses Set with %s', async (_, options, message) => {
    const { call, asked } = fixture();
    await expect(call('Set', {}, '', options)).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });

  it('passes the keys to polkit', () => {
    const [face] = fixture().tree.objects.get(CONFIG_PATH)?.interfaces ?? [];
    expect(face?.polkitDetails?.('Set', [{ A: variant('s', ''), B: variant('s', '') }])).toEqual({ keys: 'A B' });
    expect(face?.polkitDetails?.('Unset', [['A']])).toEqual({ keys: 'A' });
    expect(face?.polkitDetails?.('Rollback', ['c1'])).toEqual({ keys: '' });
  });

  it('announces a change: properties first, then the signal', () => {
    const { tree, state, tell, exported } = fixture();
    state.revision = 'r2';
    state.pendingRestart = ['mtu'];
    tell({ keys: ['DOCKER_MTU'], revision: 'r2', restartNeeded: true });
    expect(tree.announced.at(-1)).toEqual({
      kind: 'changed',
      path: CONFIG_PATH,
      values: { Revision: 'r2', PendingRestart: ['mtu'] },
    });
    expect(tree.sent('Changed')).toMatchObject([{ path: CONFIG_PATH, args: [['DOCKER_MTU'], 'r2', true] }]);
    state.pendingRestart = [];
    tell(null);
    expect(tree.announced.at(-1)).toMatchObject({ values: { PendingRestart: [] } });
    expect(tree.sent('Changed')).toHaveLength(1);
    exported[Symbol.dispose]();
    tell({ keys: [], revision: 'r3', restartNeeded: false });
    expect(tree.sent('Changed')).toHaveLength(1);
  });
});
