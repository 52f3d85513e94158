import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { TestEngine } from '../../support/engine.ts';

const PORT = 18_080;

it('ends in good order while its threads are at work', async () => {
  await using engine = await TestEngine.start('--live-restore');
  await engine.importBusybox();
  await engine.dockerOk('network', 'create', 'busy');
  const ports = ['-p', `[::1]:${String(PORT)}:80`];
  const questions = 'while :; do nslookup talker; usleep 20000; done >/dev/null 2>&1';
  await engine.dockerOk('run', '-d', '--name', 'asker', '--network', 'busy', 'busybox', 'sh', '-c', questions);
  const talk = 'while :; do yes | nc -l -p 80; done';
  await engine.dockerOk('run', '-d', '--name', 'talker', '--network', 'busy', ...ports, 'busybox', 'sh', '-c', talk);
  for (const turn of [1, 2]) {
    // What the packet filter cannot lead, a thread of the engine does: it has no rest as long as this one reads.
    const socket = connect(PORT, '::1').on('error', () => undefined);
    await once(socket, 'data');
    socket.resume();
    const { exited } = engine;
    process.kill(engine.pid, 'SIGTERM');
    expect([turn, await exited]).toEqual([turn, 0]);
    socket.destroy();
    await engine.boot();
  }
});
