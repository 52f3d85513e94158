/** Docker's checks on bind propagation: it can be no wider than that of the mount which the source lies on. */
import { realpathSync } from 'node:fs';
import { InternalError } from '../../../base/errors.ts';

interface SourceMount {
  readonly mountPoint: string;
  /** `shared:1 master:2` … */
  readonly peers: readonly string[];
}

/** InternalError in Docker's words where `propagation` asks for more than the source's mount has. */
export function checkPropagation(propagation: string, source: string, mountinfo: string): void {
  const isShared = /^r?shared$/.test(propagation);
  if (!isShared && !/^r?slave$/.test(propagation)) return;
  const { mountPoint, peers } = sourceMountOf(realpathSync(source), mountinfo);
  const has = (kind: string): boolean => peers.some((peer) => peer.startsWith(`${kind}:`));
  if (has('shared') || (!isShared && has('master'))) return;
  throw new InternalError(
    `path ${source} is mounted on ${mountPoint} but it is not a shared${isShared ? '' : ' or slave'} mount`,
  );
}

/** The topmost mount that holds `path`. */
function sourceMountOf(path: string, mountinfo: string): SourceMount {
  let best: SourceMount = { mountPoint: '/', peers: [] };
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const mountPoint = unescaped(fields[4] ?? '');
    const holds = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (mountPoint === '' || !holds || mountPoint.length < best.mountPoint.length) continue;
    best = { mountPoint, peers: fields.slice(6, fields.indexOf('-')) };
  }
  return best;
}

/** mountinfo writes blanks and the like as `\040`. */
function unescaped(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
