import type { ByteString } from '../tar/entry.ts';

/** What is at a path, itself and not what it points to. */
export interface TreeNode {
  readonly type: 'directory' | 'file' | 'symlink' | 'whiteout' | 'other';
  readonly sizeBytes: number;
}

/**
 * The directory a layer is written to, as the writer sees it: every path is confined (see tar-path.ts) and symlinks on
 * the way to its last part are resolved inside the root, in any race; the last part is never followed. Failing calls
 * throw what Node's fs throws, with `code`.
 */
export interface LayerTree extends Disposable {
  /** Null when there is nothing. */
  lstat(path: ByteString): TreeNode | null;
  readdir(path: ByteString): readonly ByteString[];
  mkdir(path: ByteString, mode: number): void;
  /** Makes the directory and those above it that are missing, 0755 and owned by root. */
  ensureDirectory(path: ByteString): void;
  /** Makes a new file and opens it for writing. EEXIST when there is anything. */
  create(path: ByteString): number;
  symlink(target: ByteString, path: ByteString): void;
  link(existing: ByteString, path: ByteString): void;
  mknod(path: ByteString, mode: number, device: { readonly major: number; readonly minor: number }): void;
  /** Removes whatever is there, with all below it. */
  remove(path: ByteString): void;
  chown(path: ByteString, uid: number, gid: number): void;
  /** Not for symlinks. */
  chmod(path: ByteString, mode: number): void;
  setModified(path: ByteString, mtimeNs: bigint): void;
  setXattr(path: ByteString, name: string, value: Buffer): void;
  /** Takes away all that a layer can have set. */
  clearXattrs(path: ByteString): void;
}
