import type { Descriptors } from '../../descriptors.ts';
import type { MethodHandler } from '../../exported.ts';
import { notSupported } from '../../unsupported.ts';

/** Methods of the interface whose verbs the engine does not have, with what each would do. */
const MISSING: Readonly<Record<string, string>> = {
  Update: 'changing the limits of a container',
  Commit: 'making an image of a container',
  GetProcesses: 'listing the processes of a container',
  GetChanges: 'listing the changed files of a container',
  GetStats: 'reading the resource usage of a container',
  OpenStats: 'reading the resource usage of a container',
  CopyFrom: 'copying files out of a container',
  Export: 'exporting the files of a container',
};

/** They say so, after polkit has agreed as it would for the real thing. */
export function unsupportedMethods(descriptors: Pick<Descriptors, 'close'>): Readonly<Record<string, MethodHandler>> {
  const refusals = Object.entries(MISSING).map(([name, deed]) => [name, () => notSupported(deed)] as const);
  return {
    ...Object.fromEntries(refusals),
    CopyTo: (_call, _path: string, tar: number) => {
      // What a client sent is ours to close.
      descriptors.close(tar);
      return notSupported('copying files into a container');
    },
  };
}
