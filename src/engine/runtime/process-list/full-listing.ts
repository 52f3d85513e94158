/**
 * `ps -ef` out of procfs (proc(5)), column for column as procps prints it.
 *
 * ```
 * /proc/PID/stat   pid (comm) state ppid pgrp session tty_nr … 14 utime 15 stime … 22 starttime
 * ```
 */
import { readFileSync, statSync } from 'node:fs';
import type { ProcessTable } from './table.ts';

const TITLES: readonly string[] = ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'];
/** The kernel's USER_HZ, on every machine that Node runs on. */
const TICKS_PER_SECOND = 100;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** procps's width for names; longer ones end in a plus. */
const NAME_WIDTH = 8;
/** Major numbers of pseudo terminals (Documentation/admin-guide/devices.txt). */
const FIRST_PTS = 136;
const LAST_PTS = 143;

/** One row for each process that is still there, in the order given. */
export function fullListing(pids: readonly number[]): ProcessTable {
  const names = accountNames(textOf('/etc/passwd') ?? '');
  const uptime = Number((textOf('/proc/uptime') ?? '0').split(' ')[0]);
  const bootedAt = Number(/^btime (\d+)$/m.exec(textOf('/proc/stat') ?? '')?.[1] ?? 0);
  const rows = pids.flatMap((pid) => {
    const row = rowOf(pid, names, { uptime, bootedAt });
    return row === null ? [] : [row];
  });
  return { titles: TITLES, rows };
}

/** Null when it has gone. */
function rowOf(
  pid: number,
  names: ReadonlyMap<number, string>,
  { uptime, bootedAt }: { readonly uptime: number; readonly bootedAt: number },
): readonly string[] | null {
  const stat = textOf(`/proc/${String(pid)}/stat`);
  const uid = ownerOf(pid);
  if (stat === null || uid === null) return null;
  const end = stat.lastIndexOf(')');
  const comm = stat.slice(stat.indexOf('(') + 1, end);
  // Counted from the state, which is the third field.
  const fields = stat.slice(end + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? 0);
  const usedTicks = field(14) + field(15);
  const startedSeconds = field(22) / TICKS_PER_SECOND;
  return [
    userText(names, uid),
    String(pid),
    String(field(4)),
    shareText(usedTicks, uptime - startedSeconds),
    startText(new Date((bootedAt + Math.floor(startedSeconds)) * 1000), new Date((bootedAt + uptime) * 1000)),
    terminalText(field(7)),
    durationText(Math.floor(usedTicks / TICKS_PER_SECOND)),
    commandText(textOf(`/proc/${String(pid)}/cmdline`) ?? '', comm),
  ];
}

function userText(names: ReadonlyMap<number, string>, uid: number): string {
  const name = names.get(uid) ?? String(uid);
  return name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 1)}+` : name;
}

/** Percent of one processor over its life. */
function shareText(usedTicks: number, seconds: number): string {
  const whole = Math.floor(seconds);
  return String(whole <= 0 ? 0 : Math.min(99, Math.floor(usedTicks / whole)));
}

/** The hour of today, the day of this year, or the year. */
export function startText(start: Date, now: Date): string {
  if (start.getFullYear() !== now.getFullYear()) return String(start.getFullYear());
  if (start.getMonth() !== now.getMonth() || start.getDate() !== now.getDate()) {
    return `${MONTHS[start.getMonth()] ?? ''}${String(start.getDate()).padStart(2, '0')}`;
  }
  return `${two(start.getHours())}:${two(start.getMinutes())}`;
}

/** `[days-]hours:minutes:seconds`. */
export function durationText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':');
  return days === 0 ? clock : `${String(days)}-${clock}`;
}

/** Of a device number as the kernel prints it. */
export function terminalText(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= FIRST_PTS && major <= LAST_PTS) return `pts/${String((major - FIRST_PTS) * 256 + minor)}`;
  if (major === 4) return minor < 64 ? `tty${String(minor)}` : `ttyS${String(minor - 64)}`;
  return device === 0 ? '?' : `${String(major)},${String(minor)}`;
}

/** What cannot be printed becomes a question mark; a process without arguments is shown by its name. */
export function commandText(cmdline: string, comm: string): string {
  const text = cmdline.replace(/\0+$/, '').replaceAll('\0', ' ');
  const shown = text === '' ? `[${comm}]` : text;
  return shown
    .replaceAll(/[\u0000-\u001f\u007f]/g, '?')
    .split(/ +/)
    .join(' ')
    .trim();
}

function accountNames(passwd: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of passwd.split('\n')) {
    const [name = '', , uid = ''] = line.split(':');
    if (/^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}

function ownerOf(pid: number): number | null {
  try {
    return statSync(`/proc/${String(pid)}`).uid;
  } catch {
    return null;
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
