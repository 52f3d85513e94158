/**
 * What a daemon and its containers hold of the machine: for tests that compare it with what was held before. The engine
 * must run with a cgroup parent of its own, since the usual one is everybody's.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestEngine } from './engine.ts';

const CGROUPS = '/sys/fs/cgroup';
/** Tables whose rows are memory, not belongings; their length has a bound of its own. */
const HISTORIES = new Set(['event']);

export interface Belongings extends Readonly<Record<string, unknown>> {
  readonly descriptors: Readonly<Record<string, number>>;
}

/** `netns` is the file of the network namespace that is the engine's alone; absent: it shares the machine's. */
export function belongingsOf(engine: TestEngine, cgroupParent: string, netns?: string): Belongings {
  return {
    descriptors: descriptorsOf(engine.pid),
    watches: watchesOf(engine.pid),
    children: processes(
      (status) => status.parent === engine.pid && !status.name.startsWith('moored'),
      (status) => status.name,
    ),
    monitors: processes(
      (status) => status.name.startsWith('conmon') && status.commandLine.includes(engine.root),
      (status) => String(status.pid),
    ),
    mounts: mountsBelow(engine.root),
    links: netns === undefined ? linksOn(engine.bridge) : networkOf(netns),
    cgroups: cgroupsBelow(cgroupParent),
    exec: listing(join(engine.root, 'exec'), true),
    data: ['', 'containers', 'overlay2', 'overlay2/l', 'volumes', 'content/ingest'].map((directory) => [
      directory,
      ...listing(join(engine.dataRoot, directory)),
    ]),
    rows: rowsOf(engine.dataRoot),
  };
}

/** How many of each kind: numbers of sockets, pipes and files differ, and so do those of threads. */
function descriptorsOf(pid: number): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  const directory = `/proc/${String(pid)}/fd`;
  for (const fd of readdirSync(directory)) {
    const kind = orGone(() => readlinkSync(join(directory, fd)))?.replace(/:\[\d+\]$/, '');
    if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).toSorted());
}

function watchesOf(pid: number): number {
  const directory = `/proc/${String(pid)}/fdinfo`;
  const infos = readdirSync(directory).map((fd) => orGone(() => readFileSync(join(directory, fd), 'utf8')) ?? '');
  return infos.join('').match(/^inotify /gm)?.length ?? 0;
}

interface ProcessStatus {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly commandLine: string;
}

function processes(
  isMeant: (status: ProcessStatus) => boolean,
  show: (status: ProcessStatus) => string,
): readonly string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => orGone(() => statusOf(Number(entry))))
    .filter((status) => status !== undefined && isMeant(status))
    .map((status) => (status === undefined ? '' : show(status)));
}

function statusOf(pid: number): ProcessStatus {
  const text = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
  const commandLine = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
  return { pid, parent: Number(field('PPid')), name: `${field('Name')} ${field('State')}`, commandLine };
}

function mountsBelow(root: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${root}/`));
}

function linksOn(bridge: string): readonly string[] {
  const shown = execFileSync('ip', ['-o', 'link', 'show', 'master', bridge], { encoding: 'utf8' });
  return shown.split('\n').filter((line) => line !== '');
}

/** Everything of a network namespace: links and their addresses, routes, what is queued, packet filter. */
function networkOf(netns: string): readonly string[] {
  const commands = [
    ['ip', '-o', 'link', 'show'],
    ['ip', '-o', 'address', 'show'],
    ['ip', '-o', 'route', 'show', 'table', 'main'],
    ['tc', 'qdisc', 'show'],
    ['nft', 'list', 'ruleset'],
  ] as const;
  const texts = commands.map((words) => execFileSync('nsenter', [`--net=${netns}`, ...words], { encoding: 'utf8' }));
  return texts
    .flatMap((text) => text.split('\n'))
    .map((line) =>
      line
        .replace(/counter packets \d+ bytes \d+|state (?:UP|DOWN)|<[A-Z,_-]+>|tentative|valid_lft.*/g, '')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '')
    .toSorted();
}

/** Below `parent` in each hierarchy; the parents themselves stay, as with Docker. */
function cgroupsBelow(parent: string): readonly string[] {
  return cgroupRoots(parent).flatMap((root) => listing(root, true, 'directories').map((name) => join(root, name)));
}

/** The directories of `parent` in the hierarchies that have it. */
export function cgroupRoots(parent: string): readonly string[] {
  const hierarchies = ['', ...readdirSync(CGROUPS)].map((name) => join(CGROUPS, name, parent));
  return hierarchies.filter((path) => orGone(() => readdirSync(path)) !== undefined);
}

function rowsOf(dataRoot: string): Readonly<Record<string, unknown>> {
  // The daemon lets nobody else at its file: a copy is read.
  const directory = mkdtempSync(join(tmpdir(), 'moored-rows-'));
  try {
    for (const name of ['state.db', 'state.db-wal'])
      orGone(() => {
        copyFileSync(join(dataRoot, name), join(directory, name));
      });
    using database = new DatabaseSync(join(directory, 'state.db'));
    const tables = database.prepare(`SELECT name FROM sqlite_master WHERE type = 'table'`).all();
    const counted = tables.map((table) => String(table['name'])).filter((name) => !HISTORIES.has(name));
    return Object.fromEntries(
      counted.map((name) => [name, database.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.['n']]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function listing(path: string, recursive = false, kind: 'all' | 'directories' = 'all'): readonly string[] {
  const entries = orGone(() => readdirSync(path, { recursive, withFileTypes: true })) ?? [];
  return entries
    .filter((entry) => kind === 'all' || entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .toSorted();
}

/** What lies in /proc, /sys and below a busy daemon's roots may go while it is read. */
function orGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
