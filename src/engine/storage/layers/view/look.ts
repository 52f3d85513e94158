import { InvalidArgumentError, errnoCodeOf } from '../../../../base/errors.ts';
import type { PathStat } from '../../copying.ts';
import type { LookJob } from '../job.ts';
import { layerFault } from '../layer-fault.ts';
import { readable } from '../tar/entry.ts';
import type { LayerTools } from '../tools.ts';
import { enterView } from './enter.ts';
import { locate, resolveText, type Located } from './locate.ts';
import { askedPath, type AskedPath } from './path-words.ts';

/** What is at a path; null when there is nothing. */
export function lookAt(job: LookJob, tools: LayerTools): PathStat | null {
  using view = enterView(job, tools);
  const asked = askedPath(job.path);
  using found = find(view.root, asked);
  return found === null ? null : statOf(view.root, asked, found);
}

/** Null when there is nothing. InvalidArgumentError when a directory is asked for and something else is there. */
export function find(root: number, { path, wantsDirectory }: AskedPath): Located | null {
  const bytes = Buffer.from(path).toString('latin1');
  let found: Located;
  try {
    found = locate(root, bytes, { follow: wantsDirectory });
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw layerFault('lstat', bytes.slice(1), error);
  }
  if (!wantsDirectory || found.info.isDirectory()) return found;
  found[Symbol.dispose]();
  throw new InvalidArgumentError(`lstat ${path}/: not a directory`);
}

export function statOf(root: number, { path, base }: AskedPath, { info }: Located): PathStat {
  return {
    name: base,
    sizeBytes: Number(info.size),
    mode: Number(info.mode),
    mtimeNs: String(info.mtimeNs),
    linkTarget: info.isSymbolicLink() ? readable(resolveText(root, Buffer.from(path).toString('latin1'))) : '',
  };
}
