/**
 * Syslog messages, byte for byte as dockerd writes them (RackSec/srslog and its own RFC 5424 forms):
 *
 *     unix            <30>Jan  2 15:04:05 tag[pid]: text\n
 *     rfc3164         <30>Jan  2 15:04:05 host tag[pid]: text\n
 *     rfc5424         <30>1 2006-01-02T15:04:05+01:00 host tag pid tag - text\n
 *     rfc5424micro    <30>1 2006-01-02T15:04:05.123456+01:00 host tag pid tag - text\n
 *
 * The priority is facility × 8 + severity (6 for stdout, 3 for stderr). Over TLS the RFC 5424 forms are framed by RFC 5425:
 * the length in decimal, a space, the message. Times are those of the host's zone.
 */
import type { Timestamp } from '../../../base/clock.ts';
import type { LogEntry } from '../sink.ts';

export type SyslogFormat = 'unix' | 'rfc3164' | 'rfc5424' | 'rfc5424micro';

/** By the option's word. */
export const FORMATS: ReadonlyMap<string, SyslogFormat> = new Map([
  ['', 'unix'],
  ['rfc3164', 'rfc3164'],
  ['rfc5424', 'rfc5424'],
  ['rfc5424micro', 'rfc5424micro'],
]);

const NAMES = 'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp'.split(' ');
const FIRST_LOCAL = 16;

/** Facilities by name. */
export const FACILITIES: ReadonlyMap<string, number> = new Map([
  ...NAMES.map((name, number): [string, number] => [name, number]),
  ...Array.from({ length: 8 }, (_, number): [string, number] => [`local${String(number)}`, FIRST_LOCAL + number]),
]);

const SEVERITIES = { stdout: 6, stderr: 3 } as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** What is the same in all messages of a container. */
export interface Sender {
  readonly format: SyslogFormat;
  readonly facility: number;
  readonly isFramed: boolean;
  readonly tag: string;
  readonly hostname: string;
  readonly pid: number;
}

/** One message; null for an empty line, of which dockerd sends none. */
export function syslogMessage(sender: Sender, entry: LogEntry): Buffer | null {
  if (entry.start === entry.end) return null;
  const { bytes, start, end } = entry;
  const head = headOf(sender, sender.facility * 8 + SEVERITIES[entry.stream], entry.time);
  const newline = bytes[end - 1] === 10 ? '' : '\n';
  const message = Buffer.concat([Buffer.from(head), bytes.subarray(start, end), Buffer.from(newline)]);
  return sender.isFramed ? Buffer.concat([Buffer.from(`${String(message.length)} `), message]) : message;
}

function headOf({ format, tag, hostname, pid }: Sender, priority: number, time: Timestamp): string {
  const at = new Date(Number(time / 1_000_000n));
  switch (format) {
    case 'unix':
      return `<${String(priority)}>${stamp(at)} ${tag}[${String(pid)}]: `;
    case 'rfc3164':
      return `<${String(priority)}>${stamp(at)} ${hostname} ${tag}[${String(pid)}]: `;
    case 'rfc5424':
      return `<${String(priority)}>1 ${local(at, '')} ${hostname} ${tag} ${String(pid)} ${tag} - `;
    case 'rfc5424micro': {
      const micro = String((time / 1000n) % 1_000_000n).padStart(6, '0');
      return `<${String(priority)}>1 ${local(at, `.${micro}`)} ${hostname} ${tag} ${String(pid)} ${tag} - `;
    }
  }
}

const two = (number: number): string => String(number).padStart(2, '0');

/** Go's time.Stamp */
function stamp(at: Date): string {
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${MONTHS[at.getMonth()] ?? ''} ${String(at.getDate()).padStart(2)} ${clock}`;
}

/** Go's time.RFC3339 with a fraction. */
function local(at: Date, fraction: string): string {
  const date = `${String(at.getFullYear())}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const offset = -at.getTimezoneOffset();
  const zone =
    offset === 0
      ? 'Z'
      : `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${date}T${clock}${fraction}${zone}`;
}
