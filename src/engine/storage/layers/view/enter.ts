import { closeSync } from 'node:fs';
import type { TreeView } from '../../../kernel/tree-views.ts';
import type { LookJob, ReadJob, WriteJob } from '../job.ts';
import type { LayerTools } from '../tools.ts';
import { confine, parentOf } from '../tar/path.ts';
import { JailedTree } from '../tree/jailed-tree.ts';

/** Enters a job's view. Places for mounts that the root lacks are made, as a start would make them. */
export function enterView({ plan }: LookJob | ReadJob | WriteJob, { views, files }: LayerTools): TreeView {
  return views.enter(plan, (root, { destination }, isDirectory) => {
    using tree = new JailedTree(`/proc/self/fd/${String(root)}`, files, { shared: true });
    const path = confine(Buffer.from(destination).toString('latin1'));
    if (isDirectory) {
      tree.ensureDirectory(path);
    } else if (tree.lstat(path) === null) {
      tree.ensureDirectory(parentOf(path));
      closeSync(tree.create(path));
      tree.chmod(path, 0o755);
    }
  });
}
