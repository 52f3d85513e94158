import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until } from '../support/engine.ts';
import { startProxy, type MisbehavingProxy } from '../support/misbehaving-proxy.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * SIGKILL at twelve moments of a pull (more by MOORED_PULL_KILLS): half of them spread over its whole length by a seed, half
 * in the midst of its biggest blob. After each the daemon starts, shows the whole image or none, pulls, runs a container of it, and keeps what a store that was never killed
 * keeps.
 */
const KILLS = Number(process.env['MOORED_PULL_KILLS'] ?? 12);
const SEED = 20_261_121;

describe.skipIf(registryAbsence !== null)(
  `killed pulls${registryAbsence === null ? '' : ` (${registryAbsence})`}`,
  () => {
    let registry: TestRegistry;
    let proxy: MisbehavingProxy;
    let engine: TestEngine;
    let image: SyntheticImage;
    let name: string;
    /** After how many bytes the biggest blob stops coming. */
    let stallsAfter: number | null = null;

    beforeAll(async () => {
      registry = await startRegistry();
      proxy = await startProxy(registry.host, ({ path }) =>
        stallsAfter !== null && path.endsWith(big()) ? { kind: 'stall', afterBytes: stallsAfter } : null,
      );
      engine = await TestEngine.start();
      const busybox = await run('sh', ['-c', 'base64 -w0 "$(command -v busybox)"'], {});
      image = await syntheticImage(
        [
          { 'bin/': '', 'bin/busybox': Buffer.from(busybox.stdout, 'base64'), word: 'one' },
          { big: noise(3_000_000), 'data/': '', 'data/gone': 'x', 'data/kept': 'y' },
          { 'data/': '', 'data/.wh.gone': '' },
          { word: 'four', more: noise(1_000_000) },
          { last: noise(500_000) },
        ],
        { config: { Cmd: ['/bin/busybox', 'cat', '/word'] } },
      );
      await pushImage(registry.host, 'k/illed', '1', image);
      name = `${proxy.host}/k/illed:1`;
    });
    afterAll(async () => {
      await engine[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    });

    const big = (): string => image.layers[1]?.digest ?? '';
    const list = (...path: readonly string[]): readonly string[] => readdirSync(join(engine.dataRoot, ...path)).sort();
    /** All that the store keeps, by name. */
    const kept = (): object => ({
      blobs: list('content', 'blobs', 'sha256'),
      ingests: list('content', 'ingest'),
      layers: list('overlay2').filter((entry) => entry !== 'l'),
      links: list('overlay2', 'l').length,
      root: list().filter((entry) => !entry.startsWith('state.db')),
    });

    const isInMidst = (leastBytes = 1): boolean =>
      list('content', 'ingest').some((entry) => {
        const { size } = statSync(join(engine.dataRoot, 'content', 'ingest', entry), { throwIfNoEntry: false }) ?? {
          size: 0,
        };
        return entry.includes(big().slice(7)) && size >= leastBytes;
      });

    /** By the API: the command line's own start takes longer than all the rest. */
    const pull = async (): Promise<boolean> => {
      const path = `/v1.41/images/create?fromImage=${encodeURIComponent(name)}`;
      const answer = await engine.api('POST', path).catch(() => null);
      return answer?.body.includes('"status":"Status: ') ?? false;
    };
    const shownIds = async (): Promise<readonly string[]> =>
      ((await engine.api('GET', '/v1.41/images/json')).json as { Id: string }[]).map(({ Id }) => Id);
    const remove = async (): Promise<void> => {
      const { status, body } = await engine.api('DELETE', `/v1.41/images/${image.id}?force=1`);
      if (status !== 200 && status !== 404) throw new Error(body);
    };

    it(`${String(KILLS)} times`, { timeout: 900_000 }, async () => {
      const started = performance.now();
      expect(await pull()).toBe(true);
      const lengthMs = performance.now() - started;
      expect(await engine.dockerOk('run', '--rm', '--network', 'none', name)).toBe('four');
      const whole = kept();
      await remove();
      const empty = kept();
      expect(empty).toMatchObject({ blobs: [], ingests: [], layers: [], links: 0 });
      const random = generator(SEED);
      for (let kill = 0; kill < KILLS; kill += 1) {
        expect(kept()).toEqual(empty);
        const isOfBig = kill % 2 === 1;
        stallsAfter = isOfBig ? 1_500_000 + Math.floor(random() * 1_400_000) : null;
        const pulling = pull();
        await (isOfBig ? until(() => isInMidst()) : after(random() * lengthMs));
        await engine.end('SIGKILL');
        await pulling;
        stallsAfter = null;
        await engine.boot();
        const shown = await shownIds();
        expect([[], [image.id]]).toContainEqual(shown);
        if (isOfBig) expect(isInMidst()).toBe(true);
        const sentBefore = proxy.sentBytes;
        expect(await pull()).toBe(true);
        // What the killed daemon had is not sent again: a whole image costs its manifest at most.
        if (shown.length > 0) expect(proxy.sentBytes - sentBefore).toBeLessThan(10_000);
        expect(kept(), `kill ${String(kill)}`).toEqual(whole);
        if (kill % 8 === 0) expect(await engine.dockerOk('run', '--rm', '--network', 'none', name)).toBe('four');
        await remove();
      }
      expect(engine.log()).not.toMatch(/"level":"(error|fatal)"/);
    });

    it('a killed download is sent from where it broke', async () => {
      await remove();
      const size = image.layers[1]?.blob.length ?? 0;
      await using slow = await startProxy(registry.host, ({ path, earlier }) =>
        path.endsWith(big()) && earlier === 0 ? { kind: 'stall', afterBytes: 2_000_000 } : null,
      );
      const reference = `${slow.host}/k/illed:1`;
      const ofBig = (): number => list('content', 'ingest').filter((entry) => entry.includes(big().slice(7))).length;
      const pulling = engine.docker(['pull', '-q', reference]);
      await expect.poll(() => list('content', 'blobs', 'sha256').length).toBeGreaterThanOrEqual(4);
      await until(() => isInMidst(1_000_001));
      await engine.end('SIGKILL');
      await pulling;
      await engine.boot();
      expect(ofBig()).toBe(1);
      await engine.dockerOk('pull', '-q', reference);
      const [first, second] = slow.requests.filter(({ path }) => path.endsWith(big()));
      expect(first?.headers.range).toBeUndefined();
      const from = Number(/^bytes=(\d+)-$/.exec(second?.headers.range ?? '')?.[1]);
      expect(from).toBeGreaterThan(1_000_000);
      expect(from).toBeLessThanOrEqual(2_000_000);
      expect(from).toBeLessThan(size);
      expect(list('content', 'ingest')).toEqual([]);
    });
  },
);

/** Bytes that do not compress, the same in every run. */
function noise(count: number): Buffer {
  const random = generator(count);
  return Buffer.from(
    Array.from({ length: count / 4 }, () => Math.floor(random() * 2 ** 32)).flatMap((word) => [
      word & 255,
      (word >>> 8) & 255,
      (word >>> 16) & 255,
      word >>> 24,
    ]),
  );
}

/** mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
