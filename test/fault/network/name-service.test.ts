/** What a container may do to its name server, and must not do to anybody else's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'dns-packet';
import fc from 'fast-check';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { createInternetCalls } from '../../../src/engine/kernel/linux/internet-sockets.ts';
import { framed } from '../../../src/engine/network/dns/framed.ts';
import { ThreadedNameService } from '../../../src/engine/network/dns/service.ts';
import type { NameView } from '../../../src/engine/network/name-service.ts';
import { questionBytes } from '../../support/dns-packets.ts';
import { until } from '../../support/engine.ts';
import { askByUdp, FakeServer, sendFrom, speakTcp, TestSandbox } from '../../support/name-servers.ts';

const kernel = createLinuxKernel();
const internet = createInternetCalls();
const folder = mkdtempSync(join(tmpdir(), 'name-service-'));
const SERVER = '192.0.2.53';
const NODE = new URL('../../../bin/node', import.meta.url).pathname;

const view = (servers: readonly string[] = []): NameView => ({
  networks: [
    {
      networkName: 'front',
      internal: false,
      ipv4: true,
      ipv6: false,
      endpoints: [{ names: ['web'], ipv4Address: '10.1.0.2', ipv6Address: null }],
      links: {},
    },
  ],
  servers,
});

let names: ThreadedNameService;
let sandbox: TestSandbox;

beforeEach(() => {
  writeFileSync(join(folder, 'resolv.conf'), '');
  sandbox = new TestSandbox(kernel, `${SERVER}/32`);
  names = new ThreadedNameService({
    kernel,
    internet,
    clock: new SystemClock(),
    logger: silentLogger,
    workerUrl: new URL('../../../src/service/dns-worker.ts', import.meta.url),
    resolvConfPath: join(folder, 'resolv.conf'),
    kept: null,
  });
});
afterEach(async () => {
  await names.close();
  sandbox[Symbol.dispose]();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function rcodeOf(name: string, from = sandbox): Promise<string | null> {
  const bytes = await askByUdp(from, questionBytes(name));
  return bytes === null ? null : ((decode(bytes) as { readonly rcode?: string }).rcode ?? null);
}

describe('nonsense', () => {
  it('of ten thousand packets, and on connections, is survived', async () => {
    await names.start(sandbox, view([SERVER]));
    const question = questionBytes('web', 'A', { udpPayloadSize: 1232 });
    const random = fc.uint8Array({ minLength: 0, maxLength: 700 }).map((bytes) => Buffer.from(bytes));
    const cut = fc.nat(question.length).map((length) => question.subarray(0, length));
    const spoilt = fc.array(fc.tuple(fc.nat(question.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const bytes = Buffer.from(question);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    const pointers = fc.uint8Array({ minLength: 2, maxLength: 64 }).map((tail) => {
      const loop = Buffer.concat([question.subarray(0, 12), Buffer.from([0xc0, 0x0c]), Buffer.from(tail)]);
      loop.writeUInt16BE(1, 10);
      return loop;
    });
    const packets = fc.sample(fc.oneof(random, cut, spoilt, pointers), 10_000);
    // In portions that fit into the socket, so that all are looked at.
    for (let at = 0; at < packets.length; at += 100) {
      sendFrom(sandbox, packets.slice(at, at + 100));
      expect(await rcodeOf('web')).toBe('NOERROR');
    }
    for (const stream of fc.sample(fc.uint8Array({ minLength: 1, maxLength: 3000 }), 20)) {
      const asked = Buffer.concat([framed(question), Buffer.from(stream)]);
      const [first] = await speakTcp(sandbox, asked, 1);
      expect(first === undefined ? null : decode(first).answers).toHaveLength(1);
    }
    expect(await rcodeOf('web')).toBe('NOERROR');
  });
});

describe('too many', () => {
  it('questions that nobody answers are refused from the 1025th on, and hold no descriptor when they are over', async () => {
    using silent = sandbox.inside(() => new FakeServer(SERVER, () => []));
    await names.start(sandbox, view([SERVER]));
    expect(await rcodeOf('web')).toBe('NOERROR');
    const before = readdirSync('/proc/self/fd').length;
    for (let turn = 0; turn < 64; turn++) {
      const questions = Array.from({ length: 16 }, (_, index) =>
        questionBytes('slow.example', 'A', { id: turn * 16 + index }),
      );
      sendFrom(sandbox, questions);
      expect(await rcodeOf('web')).toBe('NOERROR');
    }
    await until(() => silent.asked.length >= 1024);
    expect(await rcodeOf('one.more.example')).toBe('REFUSED');
    expect(readdirSync('/proc/self/fd').length).toBeGreaterThanOrEqual(before + 1024);
    expect(await rcodeOf('web')).toBe('NOERROR');
    names.stop(sandbox.containerId);
    await until(() => readdirSync('/proc/self/fd').length <= before);
  });

  it('connections are hung up on, and those that are open are served', async () => {
    await names.start(sandbox, view());
    const question = framed(questionBytes('web'));
    const idle = Array.from({ length: 80 }, () => speakTcp(sandbox, question.subarray(0, 5), 1));
    expect(await rcodeOf('web')).toBe('NOERROR');
    expect(await Promise.all(idle.slice(64))).toEqual(Array.from({ length: 16 }, () => []));
    await names.close();
    await Promise.all(idle);
  });

  it('packets of one keep neither others nor the engine from their work', async () => {
    using other = new TestSandbox(kernel);
    await names.start(sandbox, view());
    await names.start(other, view());
    expect(await rcodeOf('web', other)).toBe('NOERROR');
    const flood = spawn('nsenter', [`--net=${sandbox.netnsPath}`, NODE, '-e', FLOOD], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const answers: number[] = [];
    const turns: number[] = [];
    try {
      await once(flood.stdout, 'data');
      for (let count = 0; count < 40; count++) {
        const before = performance.now();
        expect(await rcodeOf('web', other)).toBe('NOERROR');
        answers.push(performance.now() - before);
        const start = performance.now();
        await new Promise((resolve) => setImmediate(resolve));
        turns.push(performance.now() - start);
      }
    } finally {
      const ended = once(flood, 'exit');
      flood.kill('SIGKILL');
      await ended;
    }
    // Two processors and a flood of one whole process: milliseconds, where a shared queue would take seconds.
    expect(middle(answers)).toBeLessThan(1000);
    expect(middle(turns)).toBeLessThan(200);
    // Once what still waits of the flood has been worked off: until then the kernel drops what comes behind it.
    await until(async () => (await rcodeOf('web')) === 'NOERROR');
  });
});

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** As fast as it goes, without listening. */
const FLOOD = `
const socket = require('node:dgram').createSocket('udp4');
const question = Buffer.from('126701000001000000000000037765620000010001', 'hex');
socket.connect(53, '127.0.0.11', () => {
  console.log('on');
  const more = () => { for (let i = 0; i < 50; i++) socket.send(question, () => undefined); setImmediate(more); };
  more();
});`;
