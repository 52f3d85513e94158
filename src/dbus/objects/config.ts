/** The daemon's configuration as an object: /etc/sysconfig/docker key by key, and the options that come out of it. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ConfigKey, ConfigOption, ConfigOptionDescription, ConfigPort, SetConfigOptions } from '../config-port.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import { namedError } from '../bus/errors.ts';
import { done, variant, type Call, type ExportedObject, type ObjectTree, type Variant } from '../bus/exported.ts';
import { CONFIG_PATH, interfaceName } from '../names.ts';
import { millisecondsOf } from '../bus/times.ts';

export interface ExportConfigOptions {
  readonly port: ConfigPort;
  readonly tree: ObjectTree;
}

/** Puts the object into the tree and announces every change of the files. */
export function exportConfig({ port, tree }: ExportConfigOptions): Disposable {
  tree.add(configObject(port));
  return port.onChange((change) => {
    tree.changed(CONFIG_PATH);
    if (change === null) return;
    const { keys, revision, restartNeeded } = change;
    tree.emit(CONFIG_PATH, interfaceName('Config'), 'Changed', [keys, revision, restartNeeded]);
  });
}

function configObject(port: ConfigPort): ExportedObject {
  return {
    path: CONFIG_PATH,
    interfaces: [
      {
        name: interfaceName('Config'),
        methods: { ...readingMethods(port), ...writingMethods(port) },
        properties: () => ({
          Files: port.files,
          Revision: port.revision,
          PendingRestart: port.pendingRestart,
          Writable: port.isWritable,
        }),
        polkitDetails: (member, args) => {
          const keys = member === 'Set' ? Object.keys(args[0] ?? {}) : member === 'Unset' ? args[0] : [];
          return { keys: (keys as readonly string[]).join(' ') };
        },
      },
    ],
  };
}

function readingMethods(port: ConfigPort) {
  return {
    List: () => [Object.fromEntries(port.list().map((key) => [key.key, keyFacts(key)]))],
    Get: (_call: Call, name: string) => {
      const key = port.get(name);
      return [key.value, keyFacts(key)];
    },
    DescribeOptions: () => [
      Object.fromEntries(port.describeOptions().map((option) => [option.name, optionFacts(option)])),
    ],
    GetOptions: () => {
      const options = port.getOptions();
      return [optionValues(options), Object.fromEntries(options.map(({ name, origin }) => [name, origin]))];
    },
    ParseOptions: (_call: Call, text: string) => {
      const { options, problems } = port.parseOptions(text);
      return [optionValues(options), problems.map(({ severity, code, text: what }) => [severity, code, what])];
    },
    FormatOptions: (_call: Call, options: Dictionary) => [port.formatOptions(options)],
    Validate: (_call: Call, changes: Dictionary) => {
      const { valid, problems } = port.validate(changes);
      return [valid, problems.map(({ key, severity, code, text }) => [key, severity, code, text])];
    },
  };
}

function writingMethods(port: ConfigPort) {
  return {
    Set: async ({ uid }: Call, changes: Dictionary, revision: string, options: Dictionary) => {
      const result = await port.set(changes, revision, setOptions(options, uid));
      return [result.revision, result.restartNeeded, result.checkpoint];
    },
    Unset: async ({ uid }: Call, keys: readonly string[], revision: string) => {
      const result = await port.unset(keys, revision, uid);
      return [result.revision, result.restartNeeded];
    },
    Confirm: async (_call: Call, checkpoint: string) => done(port.confirm(checkpoint)),
    Rollback: async ({ uid }: Call, checkpoint: string) => [await port.rollback(checkpoint, uid)],
    ListBackups: () => [
      port
        .listBackups()
        .map(({ checkpoint, timeMs, uid, revision }) => [
          checkpoint,
          BigInt(Math.round(timeMs)) * 1000n,
          String(uid),
          revision,
        ]),
    ],
  };
}

function setOptions(dictionary: Dictionary, uid: number): SetConfigOptions {
  const { Apply, RollbackAfter, Backup } = decodeDictionary(
    { Apply: 's', RollbackAfter: 't', Backup: 'b' },
    dictionary,
  );
  if (Apply === 'restart') {
    throw namedError('NotSupported', 'the engine cannot restart itself: call RestartUnit of org.freedesktop.systemd1');
  }
  if (Apply !== undefined && Apply !== 'none' && Apply !== 'reload') {
    throw new InvalidArgumentError(`Apply is "none" or "reload", not ${JSON.stringify(Apply)}`);
  }
  const rollbackAfterMs = RollbackAfter === undefined || RollbackAfter === 0n ? null : millisecondsOf(RollbackAfter);
  if (rollbackAfterMs !== null && rollbackAfterMs > MAX_ROLLBACK_AFTER_MS) {
    throw new InvalidArgumentError('RollbackAfter is at most a day');
  }
  return { apply: Apply ?? 'none', rollbackAfterMs, backup: Backup ?? true, uid };
}

/** Longer than any administrator waits for a connection to come back. */
const MAX_ROLLBACK_AFTER_MS = 24 * 60 * 60 * 1000;

function keyFacts(key: ConfigKey): Readonly<Record<string, Variant>> {
  return {
    Value: variant('s', key.value),
    Default: variant('s', key.default),
    Type: variant('s', key.type),
    Description: variant('s', key.description),
    Path: variant('s', key.path),
    ServiceRestart: variant('as', key.serviceRestart),
    ServiceReload: variant('as', key.serviceReload),
    File: variant('s', key.file),
    Line: variant('u', key.line),
    IsSet: variant('b', key.isSet),
    PendingRestart: variant('b', key.pendingRestart),
  };
}

function optionFacts(option: ConfigOptionDescription): Readonly<Record<string, Variant>> {
  return {
    Type: variant('s', option.type),
    Default: valueVariant({ ...option, value: option.default }),
    ...(option.minimum === null ? {} : { Min: variant('x', BigInt(option.minimum)) }),
    ...(option.maximum === null ? {} : { Max: variant('x', BigInt(option.maximum)) }),
    Choices: variant('as', option.choices),
    Reloadable: variant('b', option.reloadable),
    Deprecated: variant('b', option.deprecated),
    Secret: variant('b', option.secret),
    Refused: variant('s', option.refused),
    Key: variant('s', option.key),
    Description: variant('s', option.help),
  };
}

function optionValues(options: readonly ConfigOption[]): Readonly<Record<string, Variant>> {
  return Object.fromEntries(options.map((option) => [option.name, valueVariant(option)]));
}

function valueVariant({ type, value }: ConfigOption): Variant {
  return variant(type, typeof value === 'number' ? BigInt(value) : value);
}
