import { HOST_EFFECTS, type FileEffects } from '../../config/sysconfig-editing.ts';
import { LinuxFiles } from '../../engine/kernel/linux/files.ts';

/** The disk of this host with what Node lacks: extended attributes (access lists, security labels). */
export function createFileEffects(): FileEffects {
  const files = new LinuxFiles();
  return {
    ...HOST_EFFECTS,
    copyAttributes: (from, to) => {
      for (const name of files.listXattrs(from)) {
        const value = files.getXattr(from, name);
        if (value !== null) files.setXattr(to, name, value);
      }
    },
  };
}
