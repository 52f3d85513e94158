/** Volumes as objects. */
import type { Engine, VolumeRecord } from '../../engine/index.ts';
import type { Descriptors } from '../bus/descriptors.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import { done, type Call, type ExportedInterface } from '../bus/exported.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { interfaceName, namedPath } from '../names.ts';
import type { OpenStreams } from '../bus/open-streams.ts';
import { withReceived } from '../bus/received-stream.ts';
import type { RestWords } from '../words/rest-words.ts';
import { usecOf } from '../bus/times.ts';
import { mirrorNoun, type MirrorGround } from './mirror.ts';

export interface MirrorVolumesOptions extends MirrorGround {
  readonly engine: Pick<Engine, 'volumes' | 'events'>;
  readonly jobs: Jobs;
  readonly descriptors: Descriptors;
  readonly streams: OpenStreams;
  readonly words: Pick<RestWords, 'inspectVolume'>;
}

/** Puts every volume into the tree and keeps it there as it is. */
export function mirrorVolumes(options: MirrorVolumesOptions): Disposable {
  const { volumes } = options.engine;
  return mirrorNoun(options, {
    type: 'volume',
    list: () => volumes.list(),
    get: (name) => volumes.get(name),
    keyOf: ({ name }) => name,
    pathOf: (name) => namedPath('volume', name),
    interfaceOf: (volume) => interfaceOf(volume, options),
  });
}

function interfaceOf(volume: VolumeRecord, options: MirrorVolumesOptions): ExportedInterface {
  const { name, driver, mountPoint, createdAt, anonymous } = volume;
  return {
    name: interfaceName('Volume'),
    methods: methodsOf(name, options),
    properties: () => ({
      Name: name,
      Driver: driver,
      Mountpoint: mountPoint,
      CreatedAt: usecOf(createdAt),
      Anonymous: anonymous,
      Containers: options.users.of('volume', name),
    }),
    polkitDetails: () => ({ volume: name, driver }),
  };
}

const IMPORT_KEYS = { Force: 'b' } as const;

function methodsOf(name: string, options: MirrorVolumesOptions): ExportedInterface['methods'] {
  const { engine, words, streams } = options;
  return {
    Remove: async (_call: Call, force: boolean) => done(engine.volumes.remove(name, { force })),
    GetUsage: async () => [await engine.volumes.usage(name), engine.volumes.usersOf(name).length],
    Export: () => {
      const tar = engine.volumes.export(name);
      const fd = streams.send(async (client) => {
        client.signal.addEventListener('abort', () => tar.destroy(), { once: true });
        for await (const chunk of tar as AsyncIterable<Buffer>) await client.write(chunk);
      });
      return [fd];
    },
    Import: (call: Call, fd: number, given: Dictionary) => [importVolume(name, { call, fd, given }, options)],
    Inspect: async () => [await words.inspectVolume(name)],
  };
}

function importVolume(
  name: string,
  { call, fd, given }: { readonly call: Call; readonly fd: number; readonly given: Dictionary },
  { engine, jobs, descriptors }: MirrorVolumesOptions,
): string {
  return withReceived(descriptors, fd, (stream) => {
    const { Force: force = false } = decodeDictionary(IMPORT_KEYS, given);
    return jobs.start(
      {
        type: 'import',
        objects: [namedPath('volume', name)],
        call,
        action: 'manage-volumes',
        details: { volume: name },
        cancelable: true,
        onEnd: () => stream.destroy(),
      },
      async (progress) => {
        await engine.volumes.import(name, stream, {
          force,
          signal: progress.signal,
          progress: (standing) => progress.report(standing),
        });
        return {};
      },
    );
  });
}
