import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileContentStore } from '../../src/engine/content/file-store.ts';
import { describeContentStore } from './content.contract.ts';

describeContentStore('files', async () => {
  const root = await mkdtemp(join(tmpdir(), 'content-'));
  return {
    store: await FileContentStore.open(root),
    reopen: async () => FileContentStore.open(root),
    dispose: async () => rm(root, { recursive: true }),
  };
});
