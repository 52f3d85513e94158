import type { FileCalls } from '../../../kernel/files.ts';
import type { MakeSocketsJob } from '../job.ts';
import { parentOf } from '../tar/path.ts';
import { JailedTree } from '../tree/jailed-tree.ts';

const NO_DEVICE = { major: 0, minor: 0 };
const MODE_BITS = 0o7777;

/** Also in the place of what the tree's parent has there: a tar that leaves the socket out does not say that this is gone. */
export function makeSockets({ root, sockets }: MakeSocketsJob, files: FileCalls): void {
  using tree = new JailedTree(root, files);
  for (const { path, mode, uid, gid, mtimeNs } of sockets) {
    const directory = parentOf(path);
    const before = tree.info(directory).mtimeNs;
    tree.remove(path);
    tree.mknod(path, mode, NO_DEVICE);
    tree.chown(path, uid, gid);
    tree.chmod(path, mode & MODE_BITS);
    tree.setModified(path, mtimeNs);
    tree.setModified(directory, before);
  }
}
