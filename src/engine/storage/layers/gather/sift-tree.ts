import { PathPatterns, type PatternFindings } from '../../../dockerfile/patterns.ts';
import { readable, type ByteString } from '../tar/entry.ts';
import type { LayerTools } from '../tools.ts';
import { JailedTree } from '../tree/jailed-tree.ts';
import { inside } from '../tree/walks.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import type { SiftJob } from './jobs.ts';

/** Deletes what patterns match, and directories that hold nothing else. */
export function siftTree({ root, excludes }: SiftJob, { files }: LayerTools, control: JobControl): null {
  const patterns = new PathPatterns(excludes);
  using tree = new JailedTree(root, files);
  const sift = (directory: ByteString, above: PatternFindings | null): void => {
    for (const base of tree.readdir(directory)) {
      if (control.isCancelled()) throw new Cancelled();
      const name = inside(directory, base);
      const text = readable(name);
      const found = patterns.look(text, above);
      const isDirectory = tree.lstat(name)?.type === 'directory';
      if (isDirectory && (!found.isMatched || patterns.mayHoldExceptions(text))) {
        sift(name, found);
        if (found.isMatched && tree.readdir(name).length === 0) tree.remove(name);
      } else if (found.isMatched) {
        tree.remove(name);
      }
    }
  };
  if (!patterns.isEmpty) sift('', null);
  return null;
}
