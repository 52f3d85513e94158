/** Files out of a container and into it, as tars by descriptor. */
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type MethodHandler } from '../../bus/exported.ts';
import { withReceived } from '../../bus/received-stream.ts';
import { usecOf } from '../../bus/times.ts';
import type { Timestamp } from '../../../base/clock.ts';
import { detailsOfContainer } from '../../words/container-details.ts';
import type { Subject } from './parts.ts';

const COPY_KEYS = { NoOverwriteDirNonDir: 'b', CopyUIDGID: 'b' } as const;

export function fileMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  return {
    CopyFrom: async (_call, path: string) => copyFrom(subject, path),
    CopyTo: (call, path: string, tar: number, options: Dictionary) => [copyTo(subject, { call, path, tar, options })],
  };
}

/** What cannot be found is an error of the call; what breaks off afterwards ends the stream before the tar's end. */
async function copyFrom({ parts, id }: Subject, path: string): Promise<readonly unknown[]> {
  const left = new AbortController();
  const { stat, chunks } = await parts.engine.containers.archivePath(id, path, left.signal);
  const fd = parts.streams.send(async (client) => {
    client.signal.addEventListener('abort', () => left.abort(), { once: true });
    for await (const chunk of chunks) await client.write(chunk);
  });
  return [
    fd,
    {
      Name: variant('s', stat.name),
      Size: variant('t', BigInt(stat.sizeBytes)),
      Mode: variant('u', stat.mode),
      ModifiedAt: variant('t', usecOf(BigInt(stat.mtimeNs) as Timestamp)),
      LinkTarget: variant('s', stat.linkTarget),
    },
  ];
}

interface CopyRequest {
  readonly call: Call;
  readonly path: string;
  readonly tar: number;
  readonly options: Dictionary;
}

function copyTo(subject: Subject, { call, path, tar, options }: CopyRequest): string {
  const { parts, id } = subject;
  return withReceived(parts.descriptors, tar, (stream) => {
    const given = decodeDictionary(COPY_KEYS, options);
    return parts.jobs.start(
      {
        type: 'copy',
        objects: [subject.path],
        call,
        action: 'exec',
        details: { ...detailsOfContainer(subject.view()), path },
        cancelable: true,
        onEnd: () => stream.destroy(),
      },
      async ({ signal }) => {
        await parts.engine.containers.extractTo(id, path, {
          tar: stream,
          options: {
            keepsKinds: given.NoOverwriteDirNonDir ?? false,
            toUser: given.CopyUIDGID ?? false,
            signal,
          },
        });
        return {};
      },
    );
  });
}
