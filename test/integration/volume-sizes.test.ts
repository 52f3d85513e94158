/** `docker system df -v` of volumes, beside dockerd: which are listed, with what links and what sizes. */
import { describe, expect, it } from 'vitest';
import { peerAbsence, skipNote, startDockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, type CommandResult } from '../support/engine.ts';

type Docker = (args: readonly string[], input?: { readonly stdin?: Buffer }) => Promise<CommandResult>;

/** What lies in each volume. */
const CONTENTS: Readonly<Record<string, string>> = {
  empty: 'true',
  plain: 'head -c 12345 /dev/zero > a; mkdir -p d/e/f; head -c 54321 /dev/zero > d/e/f/b',
  linked: 'head -c 1000000 /dev/zero > a; ln a b; mkdir d; ln a d/c; head -c 7 /dev/zero > alone',
  'linked-often': 'head -c 30000 /dev/zero > a; for i in $(seq 300); do ln a $i; done; head -c 30000 /dev/zero > other',
  'linked-symbolically': 'head -c 5000 /dev/zero > a; ln -s a b; ln b c; ln -s /nowhere/at/all d',
  sparse: 'truncate -s 20M hole; ln hole again',
  odd: 'mkfifo pipe; ln pipe pipe2; mknod null c 1 3; mkdir a b c; head -c 999 /dev/zero > "a/$(printf "n\\nl")"',
  // Names of what is gone count no more, and what was replaced counts once.
  changed: 'head -c 4000 /dev/zero > a; ln a b; rm a; head -c 100 /dev/zero > c; cp c d; mv d c; : > e',
};

/** Lines of the volumes' table, without the words between its columns. */
async function told(docker: Docker): Promise<readonly string[]> {
  const { code, stdout, stderr } = await docker(['system', 'df', '-v']);
  expect([code, stderr]).toEqual([0, '']);
  const [, table = ''] = stdout.split('Local Volumes space usage:\n\n');
  const [lines = ''] = table.split('\n\n');
  return lines
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').replace(/[0-9a-f]{64}/, 'anonymous'))
    .toSorted();
}

async function arrange(docker: Docker): Promise<void> {
  const done = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await docker(args);
    expect([args, code, stderr]).toEqual([args, 0, '']);
  };
  expect((await docker(['import', '-', 'busybox'], { stdin: await busyboxTar() })).code).toBe(0);
  for (const [name, script] of Object.entries(CONTENTS)) {
    await done('run', '--rm', '--network', 'none', '-v', `${name}:/v`, '-w', '/v', 'busybox', 'sh', '-c', script);
  }
  await done('volume', 'create', 'unused');
  const users = ['-v', 'linked:/one', '-v', 'plain:/two', '-v', '/none', '--network', 'none', 'busybox', 'sh', '-c'];
  await done('run', '--name', 'user', ...users, 'head -c 2222 /dev/zero > /none/a; ln /none/a /none/b');
  await done('create', '--name', 'second', '-v', 'linked:/one:ro', 'busybox', 'true');
  const mounted = ['-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m'];
  await done('volume', 'create', ...mounted, 'mounted');
}

describe(`sizes of volumes${skipNote(peerAbsence)}`, () => {
  it.skipIf(peerAbsence !== null)('are what dockerd says, hard links and all', async () => {
    await using engine = await TestEngine.start('--bridge', 'none');
    await using peer = await startDockerPeer();
    const ours: Docker = (args, input) => engine.docker(args, input);
    const theirs: Docker = (args, input) => peer.docker(args, input);
    await Promise.all([arrange(ours), arrange(theirs)]);
    const wanted = await told(theirs);
    expect(wanted).toEqual(expect.arrayContaining(['linked 2 1MB', 'sparse 0 20.97MB', 'anonymous 1 2.222kB']));
    expect(await told(ours)).toEqual(wanted);
    const usage = async (docker: Docker): Promise<readonly string[]> => {
      const { stdout } = await docker([
        'system',
        'df',
        '--format',
        '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}',
      ]);
      return stdout.split('\n').filter((line) => line.startsWith('Local Volumes'));
    };
    expect(await usage(ours)).toEqual(await usage(theirs));
    await theirs(['rm', '-v', 'user', 'second']);
    await ours(['rm', '-v', 'user', 'second']);
    expect(await told(ours)).toEqual(await told(theirs));
  });
});
