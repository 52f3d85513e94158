/** What a container's files became: an image, a tar, a list of changes. */
import { detailsOfContainer } from '../../words/container-details.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type MethodHandler } from '../../bus/exported.ts';
import { imagePath } from '../../names.ts';
import type { Subject } from './parts.ts';

const COMMIT_KEYS = { Message: 's', Author: 's', Pause: 'b', Changes: 'as' } as const;
const KINDS = { modified: 0, added: 1, deleted: 2 } as const;

export function treeMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  const { parts, id } = subject;
  return {
    Commit: (call, reference: string, options: Dictionary) => [startCommit(subject, call, reference, options)],
    GetChanges: async (call) => {
      const changes = await parts.engine.containers.changes(id, call.signal);
      return [changes.map(({ path, kind }) => [KINDS[kind], path])];
    },
    Export: async () => [await exportTree(subject)],
  };
}

/** An empty reference: the image gets no name. */
function startCommit(subject: Subject, call: Call, reference: string, options: Dictionary): string {
  const { parts, id, path } = subject;
  const given = decodeDictionary(COMMIT_KEYS, options);
  return parts.jobs.start(
    {
      type: 'commit',
      objects: [path],
      call,
      action: 'manage-images',
      details: { ...detailsOfContainer(subject.view()), image: reference },
      cancelable: true,
    },
    async ({ signal }) => {
      const imageId = await parts.engine.containers.commit(id, {
        repository: reference,
        tag: null,
        author: given.Author ?? '',
        comment: given.Message ?? '',
        pause: given.Pause ?? true,
        changes: given.Changes ?? [],
        config: null,
        signal,
      });
      return { Image: variant('o', imagePath(imageId)) };
    },
  );
}

/** What cannot be read at all is an error of the call; what breaks off afterwards ends the stream before the tar's end. */
async function exportTree({ parts, id }: Subject): Promise<number> {
  const left = new AbortController();
  const chunks = parts.engine.containers.export(id, left.signal)[Symbol.asyncIterator]();
  try {
    const first = await chunks.next();
    return parts.streams.send(async (client) => {
      client.signal.addEventListener('abort', () => left.abort(), { once: true });
      try {
        for (let each = first; each.done !== true; each = await chunks.next()) await client.write(each.value);
      } finally {
        await chunks.return?.();
      }
    });
  } catch (error) {
    left.abort();
    await chunks.return?.();
    throw error;
  }
}
