/**
 * Writing /etc/sysconfig/docker: the second door of the sysconfig room (see sysconfig.ts), for editors and packages. A
 * daemon that only starts does not load it.
 */
export { editSysconfig } from './sysconfig/edit.ts';
export { mergeTemplate } from './sysconfig/merge.ts';
export { runSysconfigMerge } from './sysconfig/merge-command.ts';
export { HOST_EFFECTS, replaceFile, type FileEffects } from './sysconfig/replace-file.ts';
