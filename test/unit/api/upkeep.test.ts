import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Timestamp } from '../../../src/base/clock.ts';
import { TestApi } from '../../support/api-server.ts';

let api: TestApi;
beforeEach(async () => {
  api = await TestApi.start();
});
afterEach(async () => api[Symbol.asyncDispose]());

const victim = {
  type: 'image',
  id: 'sha256:1',
  name: 'a:1',
  bytes: 7,
  reason: 'space',
  lastUsedAt: 1_000_000_000n as Timestamp,
} as const;
const row = { Id: 'sha256:1', Name: 'a:1', Reason: 'space', LastUsed: '1970-01-01T00:00:01Z', Size: 7 };

it('GET /system/gc shows what would go, POST collects it', async () => {
  vi.spyOn(api.engine.gc, 'preview').mockResolvedValue({ victims: [victim], reclaimableBytes: 7 });
  vi.spyOn(api.engine.gc, 'run').mockResolvedValue({ removed: [{ ...victim, lastUsedAt: null }], reclaimedBytes: 9 });
  expect((await api.call('GET', '/system/gc')).json).toEqual({ Images: [row], Reclaimable: 7 });
  expect((await api.call('POST', '/v1.43/system/gc')).json).toEqual({
    Images: [{ ...row, LastUsed: null }],
    SpaceReclaimed: 9,
  });
});

it('POST /system/check tells line by line', async () => {
  const finding = { kind: 'blob', subject: 'x', problem: 'p', sizeBytes: 1, outcome: 'repaired', remedy: 'r' } as const;
  const checked = { blobs: 1, blobBytes: 1, layers: 0, images: 0, containers: 0, volumes: 0 };
  const run = vi.spyOn(api.engine.check, 'run').mockImplementation(async ({ onProgress, onFinding }) => {
    onProgress?.({ phase: 'blobs', done: 0, total: 1 });
    onFinding?.(finding);
    return { findings: [finding], checked, problems: 0 };
  });
  const { status, body } = await api.call('POST', '/system/check?repair=1');
  const lines = body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect([status, lines]).toEqual([
    200,
    [{ progress: { phase: 'blobs', done: 0, total: 1 } }, { finding }, { report: { checked, problems: 0 } }],
  ]);
  expect(run.mock.calls[0]?.[0]).toMatchObject({ repair: true, deep: false });
});

it('POST /system/check says what kept it from checking', async () => {
  vi.spyOn(api.engine.check, 'run').mockRejectedValue(new Error('the disk is broken'));
  expect((await api.call('POST', '/system/check')).body).toBe('{"error":"the disk is broken"}\n');
});
