/**
 * Limited directories by project quotas: each has a project of its own (see kernel/quota.ts).
 *
 * Which number a new one gets is found anew each time, nothing is written down: one that the file system knows no inode
 * and no limit of, and that /etc/projid and /etc/projects do not give to anybody. Between the looking and the taking
 * nothing else of this process runs. The directory comes first and has its project before its limit, so that whoever is
 * killed in between leaves an empty directory and no limit without one.
 */
import { chmodSync, mkdirSync, rmdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { ProjectQuotaCalls } from '../../kernel/quota.ts';
import type { DirectoryQuotas, LimitedDirectory } from './types.ts';

/**
 * Administrators and dockerd count up from 1, or from the project of the root (dockerd's way to be told where to begin).
 * Fits into the 16 bits that an old xfs has.
 */
const FIRST_PROJECT = 32_768;
const LAST_PROJECT = 0xffff_fffe;
/** `name:id` and `id:directory`, a line each (projid(5), projects(5)). */
const NAMED_PROJECTS: readonly (readonly [path: string, column: number])[] = [
  ['/etc/projid', 1],
  ['/etc/projects', 0],
];

/** Options of {@link ProjectQuotas.open}. */
export interface ProjectQuotasOptions {
  /** Below which directories are limited; it is there. */
  readonly root: string;
  /** Its file system's name, for messages. */
  readonly filesystem: string;
  readonly calls: ProjectQuotaCalls;
  /** Numbers that are given away in words; by default those of the files in /etc. */
  readonly namedProjects?: () => Promise<ReadonlySet<number>>;
}

export class ProjectQuotas implements DirectoryQuotas {
  readonly obstacle: string | null;
  readonly #calls: ProjectQuotaCalls;
  readonly #namedProjects: () => Promise<ReadonlySet<number>>;
  /** Of the root, and so of every directory below that has none of its own. */
  readonly #rootProject: number;
  #next: number;

  private constructor({ calls, namedProjects }: ProjectQuotasOptions, obstacle: string | null, rootProject: number) {
    this.#calls = calls;
    this.#namedProjects = namedProjects ?? namedByAdministrator;
    this.obstacle = obstacle;
    this.#rootProject = rootProject;
    this.#next = rootProject > 0 ? rootProject + 1 : FIRST_PROJECT;
  }

  /** Looks at what the file system can do; changes nothing. */
  static open(options: ProjectQuotasOptions): ProjectQuotas {
    const { root, filesystem, calls } = options;
    const state = calls.state(root);
    if (state === 'enforced') return new ProjectQuotas(options, null, calls.projectOf(root));
    const found = state === 'none' ? 'no project quotas' : 'project quotas that are counted only';
    return new ProjectQuotas(
      options,
      `the ${filesystem} file system of ${root} has ${found}: ${cureOf(filesystem)}`,
      0,
    );
  }

  async make(path: string, { sizeBytes, mode }: LimitedDirectory): Promise<void> {
    if (this.obstacle !== null) throw new InvalidArgumentError(this.obstacle);
    await Undo.guard(async (undo) => {
      const named = await this.#namedProjects();
      // From here to the end nothing waits.
      mkdirSync(path, { mode: 0o700 });
      undo.defer(() => rmdirSync(path));
      chmodSync(path, mode);
      const project = this.#freeProject(path, named);
      // A limit that was set before its call failed must not outlive the directory.
      undo.defer(() => this.#unlimit(path, project));
      this.#calls.setProject(path, project);
      this.#calls.limit(path, project, sizeBytes);
    });
  }

  async usage(path: string): Promise<{ readonly usedBytes: number; readonly limitBytes: number } | null> {
    const project = this.obstacle === null ? this.#ownProject(path) : null;
    const usage = project === null ? null : this.#calls.usage(path, project);
    return Promise.resolve(usage === null || usage.limitBytes === 0 ? null : usage);
  }

  async drop(path: string): Promise<void> {
    const project = this.obstacle === null ? this.#ownProject(path) : null;
    if (project !== null) this.#unlimit(path, project);
    return Promise.resolve();
  }

  /** In growing steps: where thousands are taken, a few questions find a free one. */
  #freeProject(path: string, named: ReadonlySet<number>): number {
    let project = this.#next;
    for (let step = 1; named.has(project) || this.#isKnown(path, project); step *= 2) {
      project += step;
      if (project > LAST_PROJECT) throw new UnavailableError(`no project is free for a quota on ${path}`);
    }
    this.#next = project + 1;
    return project;
  }

  #isKnown(path: string, project: number): boolean {
    const usage = this.#calls.usage(path, project);
    return usage !== null && (usage.inodes > 0 || usage.usedBytes > 0 || usage.limitBytes > 0);
  }

  /** Null where the directory is missing, has none, or has its parents'. */
  #ownProject(path: string): number | null {
    try {
      const project = this.#calls.projectOf(path);
      return project === 0 || project === this.#rootProject ? null : project;
    } catch (error) {
      if (errnoCodeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  #unlimit(path: string, project: number): void {
    if ((this.#calls.usage(path, project)?.limitBytes ?? 0) > 0) this.#calls.limit(path, project, 0);
  }
}

function cureOf(filesystem: string): string {
  if (filesystem === 'xfs')
    return "mount it with the option 'pquota' (the root file system: boot with rootflags=pquota)";
  return "give it the features 'quota' and 'project' (tune2fs -O quota,project -Q prjquota, unmounted) and mount it with the option 'prjquota'";
}

async function namedByAdministrator(): Promise<ReadonlySet<number>> {
  const named = new Set<number>();
  for (const [path, column] of NAMED_PROJECTS) {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if (errnoCodeOf(error) === 'ENOENT') return '';
      throw error;
    });
    for (const line of text.split('\n')) {
      const number = Number(line.split(':')[column]?.trim() ?? '');
      if (Number.isInteger(number) && number > 0) named.add(number);
    }
  }
  return named;
}
