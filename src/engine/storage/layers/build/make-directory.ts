import type { MakeDirectoryJob } from '../job.ts';
import type { LayerTools } from '../tools.ts';
import { lookUpOwner, ROOT } from './owners.ts';
import { Target } from './target.ts';

/** Makes a directory as WORKDIR does; false where it is there. InvalidArgumentError where something else is. */
export function makeDirectory({ root, path, owner, latestTime }: MakeDirectoryJob, { files }: LayerTools): boolean {
  using target = new Target(root, files, latestTime);
  const whose = owner === null ? ROOT : lookUpOwner(files, root, owner);
  const made = target.makeDirectories(target.resolve(path), { above: whose, last: whose });
  if (made) target.finish();
  return made;
}
