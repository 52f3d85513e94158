/** Building images. */
import { isAbsolute } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { BuildRequest, ContextSource } from '../../../engine/index.ts';
import type { Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call } from '../../bus/exported.ts';
import { withReceived } from '../../bus/received-stream.ts';
import { imagePath } from '../../names.ts';
import { buildRequestOf } from '../../words/build-options.ts';
import { BuildProgress } from './build-progress.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function buildMethods(parts: ManagerParts): Methods {
  const { words, descriptors } = parts;
  return {
    BuildImage: (call: Call, fd: number, options: Dictionary) => [
      withReceived(descriptors, fd, (tar) =>
        start(parts, call, {
          request: buildRequestOf(words, { kind: 'tar', tar }, options),
          onEnd: () => tar.destroy(),
        }),
      ),
    ],
    BuildImageFromPath: (call: Call, path: string, options: Dictionary) => {
      if (!isAbsolute(path)) throw new InvalidArgumentError(`${JSON.stringify(path)} is not an absolute path`);
      const source = { kind: 'directory', path, ownerUid: call.uid === 0 ? null : call.uid } as const;
      return [start(parts, call, { request: buildRequestOf(words, source, options) })];
    },
  };
}

interface Order {
  readonly request: BuildRequest;
  readonly onEnd?: () => void;
}

function start({ engine, jobs }: ManagerParts, call: Call, { request, onEnd }: Order): string {
  return jobs.start(
    {
      type: 'build',
      objects: [],
      call,
      action: 'build',
      details: detailsOf(request),
      cancelable: true,
      ...(onEnd === undefined ? {} : { onEnd }),
    },
    async (job) => {
      const progress = new BuildProgress(job);
      const { id } = await engine.build.build(request, {
        sink: (message) => progress.take(message),
        signal: job.signal,
      });
      progress.end();
      return { Image: variant('o', imagePath(id)), Id: variant('s', id) };
    },
  );
}

/**
 * What polkit may look at before a build: `image` (its first name), `directory` and `privileged`. What cannot be understood
 * has none: the method refuses it a moment later in its own words.
 */
export function detailsOfBuild({ words }: ManagerParts, args: readonly unknown[]): Readonly<Record<string, string>> {
  const [source, options] = args as readonly [unknown, Dictionary];
  const path = typeof source === 'string' ? source : '';
  try {
    return detailsOf(buildRequestOf(words, { kind: 'directory', path, ownerUid: null }, options));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return {};
  }
}

function detailsOf({ tags, context, limits, sshAgents }: BuildRequest): Readonly<Record<string, string>> {
  // Behind an agent's path may be any socket that root can reach.
  const isPrivileged = limits.network?.kind === 'host' || limits.securityOptions.length > 0 || sshAgents.size > 0;
  return { image: tags[0] ?? '', ...directoryOf(context), privileged: String(isPrivileged) };
}

function directoryOf(context: ContextSource): { readonly directory?: string } {
  return context.kind === 'directory' && context.path !== '' ? { directory: context.path } : {};
}
