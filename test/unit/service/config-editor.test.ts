import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type Config } from '../../../src/config/config.ts';
import { diffConfig } from '../../../src/config/diff.ts';
import { HOST_EFFECTS, type FileEffects } from '../../../src/config/sysconfig-editing.ts';
import type { ConfigFilesChange, SetConfigOptions } from '../../../src/dbus/config-port.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { ConfigEditor } from '../../../src/service/config-editor.ts';
import { rollBackUnconfirmed } from '../../../src/service/config-editor/restore.ts';
import { configureStart } from '../../../src/service/unconfirmed.ts';
import { applicable, LiveConfig } from '../../../src/service/live-config.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

const SYSCONFIG = `## Path: System/Management
## Description: The engine
## Type: string
## Default: ""
## ServiceRestart: docker
#
# Flags.
#
DOCKER_OPTS="--label a=b"

## Type: yesno
## Default: no
## ServiceReload: docker
# Debug mode.
DOCKER_DEBUG="no"

# Anything.
FOREIGN="1"
`;
const PLAIN: SetConfigOptions = { apply: 'none', rollbackAfterMs: null, backup: true, uid: 1000 };

let directory = '';
let file = '';
let backups = '';
const open: ConfigEditor[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-editor-'));
  file = join(directory, 'docker');
  backups = join(directory, 'state/config-backups');
  writeFileSync(file, SYSCONFIG);
  writeFileSync(join(directory, 'daemon.json'), '{"max-concurrent-uploads": 2}\n');
});
afterEach(() => {
  for (const editor of open.splice(0)) editor[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

interface Fixture {
  readonly editor: ConfigEditor;
  readonly clock: FakeClock;
  readonly live: LiveConfig;
  readonly changes: (ConfigFilesChange | null)[];
  readonly reloads: string[];
  readonly logger: RecordingLogger;
  failReload: string | null;
}

const load = (): Config =>
  loadConfig({
    argv: ['--sysconfig-file', file, '--config-file', join(directory, 'daemon.json')],
    environment: {},
    version: '1',
  });

function start(options: { readonly clock?: FakeClock; readonly effects?: FileEffects } = {}): Fixture {
  const clock = options.clock ?? new FakeClock();
  const live = new LiveConfig(load());
  const fixture: Fixture = {
    clock,
    live,
    changes: [],
    reloads: [],
    failReload: null,
    logger: new RecordingLogger(),
    get editor() {
      return editor;
    },
  };
  const editor = new ConfigEditor({
    running: () => live.snapshot,
    reload: () => {
      if (fixture.failReload !== null) return Promise.reject(new Error(fixture.failReload));
      const next = load();
      live.replace(applicable(live.snapshot, next, diffConfig(live.snapshot, next)));
      fixture.reloads.push(readFileSync(file, 'utf8'));
      return Promise.resolve();
    },
    clock,
    logger: fixture.logger,
    backupDirectory: backups,
    ...(options.effects === undefined ? {} : { effects: options.effects }),
  });
  open.push(editor);
  editor.onChange((change) => fixture.changes.push(change));
  return fixture;
}

const text = (): string => readFileSync(file, 'utf8');
const keyed = (changes: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(changes).map(([key, value]) => [key, variant('s', value)]));
const named = (busName: string): unknown => expect.objectContaining({ busName: `org.moored.Engine1.Error.${busName}` });

describe('reading', () => {
  it('lists the keys of the file with their metadata, and those that it lacks', () => {
    const keys = start().editor.list();
    expect(keys[0]).toEqual({
      key: 'DOCKER_OPTS',
      value: '--label a=b',
      default: '',
      type: 'string',
      description: 'Flags.',
      path: 'System/Management',
      serviceRestart: ['docker'],
      serviceReload: [],
      file,
      line: 9,
      isSet: true,
      pendingRestart: false,
    });
    expect(keys.map(({ key }) => key).slice(0, 3)).toEqual(['DOCKER_OPTS', 'DOCKER_DEBUG', 'FOREIGN']);
    expect(keys.find(({ key }) => key === 'DOCKER_IPTABLES')).toMatchObject({
      value: '',
      default: 'yes',
      type: 'yesno',
      line: 0,
      isSet: false,
    });
  });

  it('gets one key, and says that there is none of the name', () => {
    const { editor } = start();
    expect(editor.get('DOCKER_DEBUG')).toMatchObject({ value: 'no', type: 'yesno', serviceReload: ['docker'] });
    expect(() => editor.get('NONE')).toThrow(named('NoSuchKey'));
  });

  it('knows each option with its type, and where its value comes from', () => {
    const { editor } = start();
    const described = new Map(editor.describeOptions().map((option) => [option.name, option]));
    expect(described.get('log-level')).toMatchObject({
      type: 's',
      default: 'info',
      reloadable: true,
      key: 'DOCKER_LOG_LEVEL',
    });
    expect(described.get('idle-exit')).toMatchObject({ type: 'x', minimum: 0, maximum: null });
    expect(described.get('http-proxy')?.secret).toBe(true);
    const options = new Map(editor.getOptions().map((option) => [option.name, option]));
    expect(options.get('labels')).toEqual({ name: 'labels', type: 'as', value: ['a=b'], origin: 'sysconfig' });
    expect(options.get('debug')).toMatchObject({ value: false, origin: 'sysconfig' });
    expect(options.get('max-concurrent-uploads')).toMatchObject({ value: 2, origin: 'daemon.json' });
    expect(options.get('mtu')).toMatchObject({ value: 1500, origin: 'default' });
    expect([...options.keys()].sort()).toEqual([...described.keys()].sort());
  });

  it('has a revision over all files', () => {
    const { editor } = start();
    const revisions = [editor.revision];
    writeFileSync(join(directory, 'daemon.json'), '{"max-concurrent-uploads": 3}\n');
    editor.refresh();
    revisions.push(editor.revision);
    mkdirSync(join(directory, 'daemon.json.d'));
    writeFileSync(join(directory, 'daemon.json.d/10.json'), '{}');
    editor.refresh();
    revisions.push(editor.revision);
    expect(new Set(revisions).size).toBe(3);
    expect(revisions[0]).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(join(directory, 'daemon.json'), '{"max-concurrent-uploads": 2}\n');
    rmSync(join(directory, 'daemon.json.d'), { recursive: true });
    editor.refresh();
    expect(editor.revision).toBe(revisions[0]);
  });
});

describe('parsing and formatting options', () => {
  it('reads the value of DOCKER_OPTS', () => {
    const { options, problems } = start().editor.parseOptions(
      `-D --label "a=b c" --label=d=e --mtu 1400 --log-opt x=1`,
    );
    expect(problems).toEqual([]);
    expect(Object.fromEntries(options.map(({ name, type, value }) => [name, [type, value]]))).toEqual({
      debug: ['b', true],
      labels: ['as', ['a=b c', 'd=e']],
      mtu: ['x', 1400],
      'log-opts': ['a{ss}', { x: '1' }],
    });
  });

  it.each([
    ['--debug "x', 'error', 'unbalanced-quotes'],
    ['--nonsense', 'error', 'invalid-flag'],
    ['--validate', 'error', 'invalid-flag'],
    ['--mtu=x', 'error', 'invalid-value'],
    ['--log-level=loud', 'error', 'invalid-value'],
    ['--rootless', 'error', 'refused'],
    ['--userland-proxy-path=x', 'warning', 'without-effect'],
  ])('tells what is wrong with %s', (words, severity, code) => {
    expect(start().editor.parseOptions(words).problems).toContainEqual(expect.objectContaining({ severity, code }));
  });

  it('writes options so that they are read back', () => {
    const { editor } = start();
    const words = editor.formatOptions({
      debug: variant('b', true),
      iptables: variant('b', false),
      labels: variant('as', ['a=b c', "d='"]),
      mtu: variant('u', 1400),
      'log-opts': variant('a{ss}', { 'max-size': '10m' }),
      'log-level': variant('s', 'warn'),
    });
    expect(words).toBe(
      `--debug --iptables=false '--label=a=b c' "--label=d='" --mtu=1400 --log-opt=max-size=10m --log-level=warn`,
    );
    expect(editor.parseOptions(words)).toMatchObject({
      options: [{ value: true }, { value: false }, { value: ['a=b c', "d='"] }, { value: 1400 }, {}, { value: 'warn' }],
      problems: [],
    });
  });

  it('refuses what is no option, no value, or of the wrong type', () => {
    const { editor } = start();
    expect(() => editor.formatOptions({ none: variant('b', true) })).toThrow(named('NoSuchKey'));
    expect(() => editor.formatOptions({ debug: variant('s', 'yes') })).toThrow("must be of type 'b', not 's'");
    expect(() => editor.formatOptions({ 'log-level': variant('s', 'loud') })).toThrow('invalid logging level: loud');
  });
});

describe('changing', () => {
  it('writes the key, keeps a backup, tells of it', async () => {
    const { editor, changes, reloads } = start();
    const before = editor.revision;
    const result = await editor.set(keyed({ DOCKER_OPTS: '--label c=d --debug=false' }), before, PLAIN);
    expect(text()).toBe(SYSCONFIG.replace('--label a=b', '--label c=d --debug=false'));
    expect(result).toMatchObject({ revision: editor.revision, restartNeeded: [] });
    expect(result.revision).not.toBe(before);
    expect(changes).toEqual([{ keys: ['DOCKER_OPTS'], revision: result.revision, restartNeeded: false }]);
    expect(reloads).toEqual([]);
    expect(editor.listBackups()).toMatchObject([{ checkpoint: result.checkpoint, uid: 1000, revision: before }]);
    expect(statSync(backups).mode & 0o777).toBe(0o700);
    expect(readdirSync(backups).map((name) => statSync(join(backups, name)).mode & 0o777)).toEqual([0o600]);
  });

  it('keeps no backup when told so, and writes nothing for the value that is there', async () => {
    const { editor } = start();
    const before = statSync(file).ino;
    expect(await editor.set(keyed({ DOCKER_DEBUG: 'no' }), '', PLAIN)).toMatchObject({ checkpoint: '' });
    expect(statSync(file).ino).toBe(before);
    expect(await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', { ...PLAIN, backup: false })).toMatchObject({
      checkpoint: '',
    });
    expect(existsSync(backups)).toBe(false);
  });

  it('reloads when asked to', async () => {
    const { editor, reloads, live } = start();
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', { ...PLAIN, apply: 'reload' });
    expect(reloads).toHaveLength(1);
    expect(live.get('debug')).toBe(true);
  });

  it('says what needs a restart, in the answer, the property and the list, until it is undone', async () => {
    const { editor, changes } = start();
    const { restartNeeded } = await editor.set(keyed({ DOCKER_MTU: '1400' }), '', { ...PLAIN, apply: 'reload' });
    expect(restartNeeded).toEqual(['mtu']);
    expect(editor.pendingRestart).toEqual(['mtu']);
    expect(editor.get('DOCKER_MTU').pendingRestart).toBe(true);
    expect(changes).toMatchObject([{ keys: ['DOCKER_MTU'], restartNeeded: true }]);
    await editor.unset(['DOCKER_MTU'], '', 0);
    expect(editor.pendingRestart).toEqual([]);
    expect(text()).toBe(SYSCONFIG + '\n');
  });

  it('refuses when the files have changed since they were read', async () => {
    const { editor } = start();
    const before = editor.revision;
    writeFileSync(join(directory, 'daemon.json'), '{}');
    await expect(editor.set(keyed({ DOCKER_DEBUG: 'yes' }), before, PLAIN)).rejects.toThrow(named('ConfigChanged'));
    expect(text()).toBe(SYSCONFIG);
  });

  it.each([
    ['a flag that is none', { DOCKER_OPTS: '--nonsense' }, 'unknown flag: --nonsense'],
    ['a value out of its type', { DOCKER_DEBUG: 'maybe' }, 'must be yes or no'],
    [
      'a conflict with daemon.json',
      { DOCKER_OPTS: '--max-concurrent-uploads=5' },
      'specified both as a flag and in the',
    ],
    [
      'quotes that stay open',
      { DOCKER_OPTS: '--label "a=b' },
      'DOCKER_OPTS: the quote " within the value is never closed',
    ],
    ['what no file can hold', { DOCKER_OPTS: 'a\0b' }, 'holds a NUL byte'],
  ])('refuses %s and leaves the file', async (_, changes, message) => {
    const { editor } = start();
    await expect(editor.set(keyed(changes), '', PLAIN)).rejects.toThrow(message);
    await expect(editor.set(keyed(changes), '', PLAIN)).rejects.toThrow(named('InvalidConfig'));
    expect(text()).toBe(SYSCONFIG);
    expect(existsSync(backups)).toBe(false);
  });

  it.each([
    ['a key that nobody knows', { NONE: variant('s', 'x') }, 'NoSuchKey'],
    ['an option that nobody knows', { 'options.none': variant('s', 'x') }, 'NoSuchKey'],
  ])('refuses %s', async (_, changes, busName) => {
    await expect(start().editor.set(changes, '', PLAIN)).rejects.toThrow(named(busName));
  });

  it('changes several keys at once or none', async () => {
    const { editor } = start();
    await expect(editor.set(keyed({ DOCKER_MTU: '1400', DOCKER_DEBUG: 'maybe' }), '', PLAIN)).rejects.toThrow(
      'yes or no',
    );
    expect(text()).toBe(SYSCONFIG);
    await editor.set(keyed({ FOREIGN: '2', DOCKER_DEBUG: 'yes' }), '', PLAIN);
    expect(text()).toBe(SYSCONFIG.replace('FOREIGN="1"', 'FOREIGN="2"').replace('"no"', '"yes"'));
  });

  it('validates without writing', () => {
    const { editor } = start();
    expect(editor.validate(keyed({ DOCKER_DEBUG: 'yes' }))).toEqual({
      valid: true,
      problems: [expect.objectContaining({ key: 'FOREIGN', code: 'unknown-key', severity: 'warning' })],
    });
    const { valid, problems } = editor.validate(keyed({ DOCKER_OPTS: "--label 'a=b" }));
    expect(valid).toBe(false);
    expect(problems).toContainEqual(expect.objectContaining({ key: 'DOCKER_OPTS', code: 'unbalanced-quotes' }));
    expect(editor.validate(keyed({ DOCKER_MTU: 'x' }))).toMatchObject({
      valid: false,
      problems: [{ key: 'DOCKER_MTU', code: 'invalid-config', severity: 'error' }],
    });
    expect(text()).toBe(SYSCONFIG);
  });

  it('validates what cannot even be planned', () => {
    const { editor } = start();
    const report = (key: string, text: string) => ({
      valid: false,
      problems: [{ key, severity: 'error', code: 'invalid-config', text: expect.stringContaining(text) as string }],
    });
    const loud = { 'options.log-level': variant('s', 'loud') };
    expect(editor.validate(loud)).toEqual(report('options.log-level', 'invalid logging level: loud'));
    expect(editor.validate({ ...loud, FOREIGN: variant('s', '2') })).toEqual(report('', 'options.log-level: invalid'));
    expect(editor.validate(keyed({ FOREIGN: 'a\0b' }))).toEqual(report('FOREIGN', 'holds a NUL byte'));
    expect(() => editor.validate(keyed({ NONE: 'x' }))).toThrow(named('NoSuchKey'));
    expect(() => editor.validate({ FOREIGN: variant('b', true) })).toThrow("must be of type 's'");
  });

  it('makes the file where there is none, and a rollback takes it away', async () => {
    rmSync(file);
    const { editor } = start();
    const { checkpoint } = await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', PLAIN);
    expect(text()).toBe('DOCKER_DEBUG="yes"\n');
    await editor.rollback(checkpoint, 0);
    expect(existsSync(file)).toBe(false);
  });

  it('one after the other, the second with an old revision loses', async () => {
    const { editor } = start();
    const { revision } = editor;
    const both = await Promise.allSettled([
      editor.set(keyed({ FOREIGN: '2' }), revision, PLAIN),
      editor.set(keyed({ FOREIGN: '3' }), revision, PLAIN),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(editor.get('FOREIGN').value).toBe('2');
  });

  it('undoes a change whose reload fails', async () => {
    const fixture = start();
    fixture.failReload = 'no such group';
    await expect(
      fixture.editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', { ...PLAIN, apply: 'reload', rollbackAfterMs: 1000 }),
    ).rejects.toThrow('the change was undone: no such group');
    expect(text()).toBe(SYSCONFIG);
    expect(fixture.editor.listBackups()).toEqual([]);
    expect(fixture.clock.pendingCount).toBe(0);
  });

  it('says that the file cannot be written', async () => {
    const effects: FileEffects = {
      ...HOST_EFFECTS,
      create: () => {
        throw Object.assign(new Error('EROFS'), { code: 'EROFS' });
      },
    };
    const { editor } = start({ effects });
    const change = { ...PLAIN, rollbackAfterMs: 1000 };
    await expect(editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', change)).rejects.toThrow(named('ReadOnlyConfig'));
    await expect(editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', change)).rejects.toThrow(
      `write ${file}: read-only file system`,
    );
    expect([text(), editor.listBackups()]).toEqual([SYSCONFIG, []]);
  });

  it('keeps the newest twenty backups', async () => {
    const { editor, clock } = start();
    for (let count = 0; count < 25; count += 1) {
      await clock.advance(1000);
      await editor.set(keyed({ FOREIGN: `${String(count)}x` }), '', PLAIN);
    }
    const kept = editor.listBackups();
    expect(kept).toHaveLength(20);
    expect(kept.map(({ timeMs }) => timeMs)).toEqual(kept.map(({ timeMs }) => timeMs).toSorted((a, b) => b - a));
  });
});

describe('options.NAME', () => {
  const setOption = async (name: string, signature: string, value: unknown): Promise<string> => {
    await start().editor.set({ [`options.${name}`]: variant(signature, value) }, '', PLAIN);
    return text();
  };

  it('goes into its typed variable', async () => {
    expect(await setOption('debug', 'b', true)).toBe(SYSCONFIG.replace('DEBUG="no"', 'DEBUG="yes"'));
    expect(await setOption('insecure-registries', 'as', ['a:5000', 'b'])).toContain(
      '\nDOCKER_INSECURE_REGISTRIES="a:5000 b"\n',
    );
    expect(await setOption('mtu', 'i', 1400)).toContain('\nDOCKER_MTU="1400"\n');
  });

  it('goes into DOCKER_OPTS where it has no variable, or is a flag there already', async () => {
    expect(await setOption('labels', 'as', ['x=y', 'z=1 2'])).toContain(`DOCKER_OPTS="--label=x=y '--label=z=1 2'"`);
    writeFileSync(
      file,
      'DOCKER_NETWORK_OPTIONS="--mtu 1300 --bip 10.0.0.1/8"\nDOCKER_OPTS="-l warn -D --label \'a=b c\'"\n',
    );
    expect(await setOption('log-level', 's', 'error')).toContain(`DOCKER_OPTS="--log-level=error -D --label 'a=b c'"`);
    expect(await setOption('mtu', 'q', 1200)).toContain('OPTIONS="--mtu=1200 --bip 10.0.0.1/8"');
    expect(await setOption('icc', 'b', false)).toContain(`'a=b c' --icc=false"`);
  });

  it('is unset wherever the file sets it', async () => {
    writeFileSync(file, 'DOCKER_NETWORK_OPTIONS="--mtu 1300"\nDOCKER_OPTS="--icc --mtu=1 --debug"\nDOCKER_MTU="7"\n');
    const { editor } = start();
    await editor.unset(['options.mtu'], '', 0);
    expect(text()).toBe('DOCKER_NETWORK_OPTIONS=""\nDOCKER_OPTS="--icc --debug"\n');
  });

  it('is refused where daemon.json has it', async () => {
    const { editor } = start();
    const change = { 'options.max-concurrent-uploads': variant('x', 5n) };
    await expect(editor.set(change, '', PLAIN)).rejects.toThrow(
      `max-concurrent-uploads is set by ${join(directory, 'daemon.json')}:1: change it there`,
    );
    await expect(editor.unset(['options.max-concurrent-uploads'], '', 0)).rejects.toThrow(named('InvalidConfig'));
  });

  it('is refused with a value that cannot be', async () => {
    const { editor } = start();
    await expect(editor.set({ 'options.log-level': variant('s', 'loud') }, '', PLAIN)).rejects.toThrow(
      'invalid logging level',
    );
    await expect(editor.set({ 'options.debug': variant('s', 'yes') }, '', PLAIN)).rejects.toThrow(
      "must be of type 'b'",
    );
    await expect(editor.set({ DOCKER_DEBUG: variant('b', true) }, '', PLAIN)).rejects.toThrow("must be of type 's'");
  });
});

describe('a change that goes back', () => {
  const GOES_BACK: SetConfigOptions = { apply: 'reload', rollbackAfterMs: 60_000, backup: false, uid: 0 };
  const rollBack = (nowMs: number): string | null => rollBackUnconfirmed({ nowMs, directory: backups });
  const DEBUGGING = SYSCONFIG.replace('"no"', '"yes"');

  it('goes back without Confirm, and the daemon reloads', async () => {
    const { editor, clock, reloads, changes, live } = start();
    const { revision } = editor;
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    await clock.advance(59_999);
    expect(text()).toBe(DEBUGGING);
    await clock.advance(1);
    expect([text(), editor.revision, live.get('debug')]).toEqual([SYSCONFIG, revision, false]);
    expect(reloads).toEqual([DEBUGGING, SYSCONFIG]);
    expect(changes.map((change) => change?.keys)).toEqual([['DOCKER_DEBUG'], ['DOCKER_DEBUG']]);
  });

  it('stays with Confirm', async () => {
    const { editor, clock } = start();
    const { checkpoint } = await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    await editor.confirm(checkpoint);
    await clock.advance(100_000);
    expect(text()).toBe(DEBUGGING);
    await expect(editor.confirm(checkpoint)).rejects.toThrow(named('NotFound'));
  });

  it('is alone meanwhile', async () => {
    const { editor } = start();
    const { checkpoint } = await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    await expect(editor.set(keyed({ FOREIGN: '2' }), '', PLAIN)).rejects.toThrow(named('Busy'));
    await editor.rollback(checkpoint, 0);
    await editor.set(keyed({ FOREIGN: '2' }), '', PLAIN);
    expect(text()).toBe(SYSCONFIG.replace('FOREIGN="1"', 'FOREIGN="2"'));
  });

  it('goes back although the daemon was restarted in between', async () => {
    const { editor, clock } = start();
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    editor[Symbol.dispose]();
    await clock.advance(30_000);
    expect(rollBack(Number(clock.now() / 1_000_000n))).toBeNull();
    const again = start({ clock });
    await clock.advance(30_000);
    expect([text(), again.reloads]).toEqual([SYSCONFIG, [SYSCONFIG]]);
  });

  it('goes back at the start when the daemon did not live so long', async () => {
    const { editor, clock } = start();
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    editor[Symbol.dispose]();
    await clock.advance(60_001);
    expect(rollBack(Number(clock.now() / 1_000_000n))).toBe(
      `nobody confirmed the last change of ${file}: the file is as it was before`,
    );
    expect(text()).toBe(SYSCONFIG);
    expect(rollBack(Number(clock.now() / 1_000_000n))).toBeNull();
    const again = start({ clock });
    expect(again.clock.pendingCount).toBe(0);
  });

  it('goes back early when the daemon cannot be configured with it, and not for who only asks', async () => {
    const { editor, clock } = start();
    const nowMs = Number(clock.now() / 1_000_000n);
    const sources = { argv: load().sources.argv, environment: { NOTIFY_SOCKET: '/run/x' }, version: '1' };
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    editor[Symbol.dispose]();
    expect((await configureStart(sources, nowMs, backups)).notes).toEqual([]);
    // It was fine when it was made; an update of the daemon knows the option no more, say.
    const unfit = { ...sources, argv: [...sources.argv, '--debug'] };
    writeFileSync(join(directory, 'daemon.json'), '{"debug": true}');
    const asked = await configureStart({ ...unfit, argv: [...unfit.argv, '--validate'] }, nowMs, backups);
    expect([asked.notes, text()]).toEqual([[], DEBUGGING]);
    await configureStart({ ...unfit, environment: {} }, nowMs, backups);
    expect(text()).toBe(DEBUGGING);
    const { notes, configured } = await configureStart(unfit, nowMs, backups);
    expect(notes).toEqual([`nobody confirmed the last change of ${file}: the file is as it was before`]);
    expect([text(), 'exitCode' in configured]).toEqual([SYSCONFIG, true]);
    writeFileSync(join(directory, 'daemon.json'), '{}');
    expect(await configureStart(unfit, nowMs + 1_000_000, backups)).toMatchObject({
      notes: [],
      configured: { validateOnly: false },
    });
  });

  it('does not wait longer for a clock that was set back', async () => {
    const { editor } = start({ clock: new FakeClock('2026-06-01T00:00:00Z') });
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    editor[Symbol.dispose]();
    const again = start({ clock: new FakeClock('2026-01-01T00:00:00Z') });
    await again.clock.advance(60_000);
    expect(text()).toBe(SYSCONFIG);
  });

  it('keeps what somebody wrote by hand while the daemon refused the change', async () => {
    const running = load();
    const editor = new ConfigEditor({
      running: () => running,
      reload: () => {
        writeFileSync(file, 'DOCKER_OPTS="--by-hand"\n');
        return Promise.reject(new Error('unfit'));
      },
      clock: new FakeClock(),
      logger: new RecordingLogger(),
      backupDirectory: backups,
    });
    open.push(editor);
    await expect(editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK)).rejects.toThrow('unfit');
    expect([text(), editor.isWaiting]).toEqual([SYSCONFIG, false]);
    const [kept, ...others] = editor.listBackups();
    expect(others).toEqual([]);
    await editor.rollback(kept?.checkpoint ?? '', 0);
    expect(text()).toBe('DOCKER_OPTS="--by-hand"\n');
  });

  it('keeps what somebody wrote by hand in between', async () => {
    const { editor, clock } = start();
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    writeFileSync(file, 'DOCKER_OPTS="--by-hand"\n');
    await clock.advance(60_000);
    expect(text()).toBe(SYSCONFIG);
    const [kept] = editor.listBackups();
    await expect(editor.rollback(kept?.checkpoint ?? '', 0)).resolves.toMatch(/^[0-9a-f]{64}$/);
    expect(text()).toBe('DOCKER_OPTS="--by-hand"\n');
  });

  it('tries again when the disk does not let it', async () => {
    let isFull = false;
    const effects: FileEffects = {
      ...HOST_EFFECTS,
      write: (fd, content) => {
        if (isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
        HOST_EFFECTS.write(fd, content);
      },
    };
    const { editor, clock, logger } = start({ effects });
    await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', GOES_BACK);
    isFull = true;
    await clock.advance(60_000);
    expect(text()).toBe(DEBUGGING);
    expect(logger.messages('error')).toContain('cannot put the configuration back');
    isFull = false;
    await clock.advance(30_000);
    expect(text()).toBe(SYSCONFIG);
  });

  it('an explicit rollback keeps what it replaces, so that it can be undone', async () => {
    const { editor, clock } = start();
    const first = await editor.set(keyed({ DOCKER_DEBUG: 'yes' }), '', PLAIN);
    await clock.advance(5000);
    await editor.rollback(first.checkpoint, 7);
    expect(text()).toBe(SYSCONFIG);
    const [newest] = editor.listBackups();
    expect(newest).toMatchObject({ uid: 7 });
    await editor.rollback(newest?.checkpoint ?? '', 0);
    expect(text()).toBe(DEBUGGING);
  });

  it.each(['', '../../etc/passwd', 'pending', '20260101T000000Z-00000000'])(
    'knows no checkpoint %j',
    async (checkpoint) => {
      await expect(start().editor.rollback(checkpoint, 0)).rejects.toThrow(named('NotFound'));
    },
  );

  it('lives with damaged files in its directory', () => {
    mkdirSync(backups, { recursive: true });
    writeFileSync(join(backups, 'pending.json'), '{"checkpoint": 1');
    writeFileSync(join(backups, '20260101T000000Z-00000000.json'), '[]');
    expect(rollBack(0)).toBeNull();
    expect(start().editor.listBackups()).toEqual([]);
    writeFileSync(
      join(backups, 'pending.json'),
      '{"checkpoint":"20260101T000000Z-00000000","deadlineMs":1,"durationMs":1,"writtenDigest":""}',
    );
    expect(rollBack(2)).toContain('is gone; the configuration stays as it is');
    expect(existsSync(join(backups, 'pending.json'))).toBe(false);
    rmSync(backups, { recursive: true });
    writeFileSync(backups, 'no directory');
    expect(rollBack(2)).toBeNull();
  });
});

describe('when another program edits the files', () => {
  const until = async (clock: FakeClock, condition: () => boolean): Promise<void> => {
    const deadline = performance.now() + 5000;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error('waited in vain');
      await clock.advance(200);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('tells the keys and the new revision, once', async () => {
    const { editor, clock, changes } = start();
    writeFileSync(file, `${SYSCONFIG}DOCKER_MTU=1400\n`);
    await until(clock, () => changes.length > 0);
    expect(changes).toEqual([{ keys: ['DOCKER_MTU'], revision: editor.revision, restartNeeded: true }]);
    expect(editor.pendingRestart).toEqual(['mtu']);
  });

  it('sees daemon.json, and fragments in a directory that was not there', async () => {
    const { clock, changes } = start();
    writeFileSync(join(directory, 'daemon.json'), '{"mtu": 1400}');
    await until(clock, () => changes.length === 1);
    mkdirSync(join(directory, 'daemon.json.d'));
    await until(clock, () => clock.pendingCount === 0);
    await clock.advance(200);
    writeFileSync(join(directory, 'daemon.json.d/10.json'), '{"labels": ["a=b"]}');
    await until(clock, () => changes.length === 2);
    expect(changes.map((change) => change?.keys)).toEqual([[], []]);
  });

  it('keeps quiet when nothing is different, and lives with a configuration that cannot be used', async () => {
    const { editor, clock, changes } = start();
    writeFileSync(file, SYSCONFIG);
    writeFileSync(join(directory, 'other'), 'x');
    await until(clock, () => clock.pendingCount === 1 || clock.monotonicMs() > 1000);
    await clock.advance(1000);
    expect(changes).toEqual([]);
    writeFileSync(file, 'DOCKER_OPTS="--nonsense"\n');
    await until(clock, () => changes.length === 1);
    expect(editor.problems).toMatchObject([{ severity: 'error', subject: 'DOCKER_OPTS' }]);
    expect(() => editor.getOptions()).toThrow(named('InvalidConfig'));
    await editor.set(keyed({ DOCKER_OPTS: '' }), '', PLAIN);
    expect(editor.getOptions().length).toBeGreaterThan(50);
  });

  it('tells of a property that a reload changed', () => {
    const { editor, changes, live } = start();
    writeFileSync(file, `${SYSCONFIG}DOCKER_MTU=1400\n`);
    editor.refresh();
    expect(editor.pendingRestart).toEqual(['mtu']);
    live.replace(load());
    editor.refresh();
    expect([editor.pendingRestart, changes.at(-1)]).toEqual([[], null]);
  });

  it('tells that the file cannot be written', () => {
    expect(start().editor.isWritable).toBe(true);
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
    chmodSync(directory, 0o700);
    writeFileSync(join(directory, 'daemon.json'), '{}');
    file = join(directory, 'missing/docker');
    expect(start().editor.isWritable).toBe(false);
  });
});
