/**
 * Project quotas in memory: projects of directories, which keep them when they are renamed, and limits. Fails on demand, as
 * FakeKernel does: `failAt(2, 'EIO')` lets the second call from now fail.
 */
import { readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type { ProjectQuotaCalls, ProjectQuotaState, ProjectUsage } from '../../src/engine/kernel/quota.ts';

interface Member {
  readonly project: number;
  /** Where it was when it was put into the project. */
  readonly path: string;
}

export class FakeProjectQuotas implements ProjectQuotaCalls {
  /** What {@link state} answers. */
  present: ProjectQuotaState = 'enforced';
  /** Numbers beyond it are refused. */
  largestProject = 0xffff_ffff;
  readonly limits = new Map<number, number>();
  readonly #members = new Map<string, Member>();
  #failAfter: number | null = null;
  #errno = '';

  /** The n-th call from now fails. */
  failAt(n: number, errno: string): void {
    this.#failAfter = n;
    this.#errno = errno;
  }

  get pendingFailure(): boolean {
    return this.#failAfter !== null;
  }

  state(): ProjectQuotaState {
    return this.present;
  }

  projectOf(path: string): number {
    this.#step('ioctl(FS_IOC_FSGETXATTR)', path);
    if (inodeOf(path) === null) throw new KernelError('open', 'ENOENT', path);
    return this.#inherited(path);
  }

  setProject(path: string, project: number): void {
    this.#step('ioctl(FS_IOC_FSSETXATTR)', path);
    if (project > this.largestProject) throw new KernelError('ioctl(FS_IOC_FSSETXATTR)', 'EINVAL', path);
    this.#members.set(inodeOf(path) ?? '', { project, path });
  }

  usage(path: string, project: number): ProjectUsage | null {
    this.#step('quotactl', path);
    let inodes = 0;
    for (const [inode, member] of this.#members) {
      if (member.project !== project || inodeOf(member.path) !== inode) continue;
      inodes += 1 + readdirSync(member.path, { recursive: true }).length;
    }
    const limitBytes = this.limits.get(project) ?? 0;
    return inodes === 0 && limitBytes === 0 ? null : { inodes, usedBytes: inodes * 4096, limitBytes };
  }

  limit(path: string, project: number, sizeBytes: number): void {
    this.#step('quotactl', path);
    if (sizeBytes === 0) this.limits.delete(project);
    else this.limits.set(project, sizeBytes);
  }

  #inherited(path: string): number {
    const own = this.#members.get(inodeOf(path) ?? '');
    return own?.project ?? (path === '/' ? 0 : this.#inherited(dirname(path)));
  }

  #step(call: string, path: string): void {
    if (this.#failAfter === null) return;
    this.#failAfter -= 1;
    if (this.#failAfter > 0) return;
    this.#failAfter = null;
    throw new KernelError(call, this.#errno, path);
  }
}

/** Numbers of inodes come back; with the time of birth they are a name. */
function inodeOf(path: string): string | null {
  const info = statSync(path, { bigint: true, throwIfNoEntry: false });
  return info === undefined ? null : `${String(info.ino)} ${String(info.birthtimeNs)}`;
}
