/** overlay2 of an engine that is root of a user namespace only, where marks are other attributes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const UNSHARED = ['--user', '--map-root-user', '--mount'];
const LAYERS = new URL('../support/layers-in-user-namespace.ts', import.meta.url).pathname;
const trial = spawnSync('unshare', [...UNSHARED, 'true'], { encoding: 'utf8' });
const obstacle = trial.status === 0 ? null : `no user namespace can be made: ${trial.stderr || String(trial.error)}`;

describe('overlay2 inside of a user namespace', () => {
  it('unpacks, mounts, changes and packs layers', (context) => {
    if (obstacle !== null) context.skip(obstacle);
    const root = mkdtempSync(join(tmpdir(), 'layers-userns-'));
    try {
      const told = execFileSync('unshare', [...UNSHARED, process.execPath, LAYERS, root], { encoding: 'utf8' });
      expect(JSON.parse(told)).toEqual({
        marks: 'true',
        hidden: ['new'],
        changes: ['added /renewed/new', 'deleted /gone', 'deleted /renewed/old', 'modified /renewed'],
        renewed: [['hidden', 'renewed'], ['new']],
      });
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});
