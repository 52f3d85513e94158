import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine } from '../support/engine.ts';

const obstacle = obstacleToContainers();
const because = obstacle === null ? '' : ` (skipped: ${obstacle})`;

/*
 * A daemon that was killed while it made a container of an image that was forced away under it: the images are recovered
 * before the containers.
 */
it.skipIf(obstacle !== null)(
  `a half-created container takes along the layers that waited for it${because}`,
  async () => {
    await using engine = await TestEngine.start('--bridge', 'none', '--storage-driver', 'overlay2');
    await engine.importBusybox();
    await engine.dockerOk('run', '--network', 'none', '--name', 'maker', 'busybox', 'sh', '-c', 'echo 1 > /word');
    await engine.dockerOk('commit', 'maker', 'child');
    await engine.dockerOk('rm', 'maker');
    const container = await engine.dockerOk('create', '--name', 'half', 'child', 'true');
    const image = await engine.dockerOk('inspect', '-f', '{{.Id}}', 'child');
    await engine.end('SIGKILL');
    {
      using state = new DatabaseSync(join(engine.dataRoot, 'state.db'));
      state.prepare(`UPDATE container SET state = json_set(state, '$.phase', 'creating') WHERE id = ?`).run(container);
      for (const table of ['image_tag', 'image_blob'])
        state.prepare(`DELETE FROM ${table} WHERE image_id = ?`).run(image);
      expect(state.prepare('DELETE FROM image WHERE id = ?').run(image).changes).toBe(1);
    }
    await engine.boot();
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
    const { body } = await engine.api('POST', '/system/check');
    expect(body).not.toContain('"kind":"leftover"');
  },
);
