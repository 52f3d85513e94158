/** What receivers get, byte by byte, from the real thread over real sockets. */
import { readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fluentdLogDriver } from '../../src/engine/logging/fluentd/driver.ts';
import { gelfLogDriver } from '../../src/engine/logging/gelf/driver.ts';
import { createJournaldLogDriver } from '../../src/engine/logging/journald/driver.ts';
import { jsonFileLogDriver } from '../../src/engine/logging/json-file/driver.ts';
import { syslogLogDriver } from '../../src/engine/logging/syslog/driver.ts';
import { TestAuthority } from '../support/certificates.ts';
import { DatagramPeer } from '../support/datagram-peer.ts';
import {
  confirming,
  forwardEventsOf,
  gelfMessagesOf,
  startPacketReceiver,
  startStreamReceiver,
} from '../support/log-receivers.ts';
import { LOGGED, record, ShippedLog } from '../support/shipped-log.ts';

const LINES = [record(0, 'out'), record(1, 'err', 'stderr'), record(2, 'ha', 'stdout', 'P'), record(3, 'lf')];
const PID = String(process.pid);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-sinks-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function ship(log: ShippedLog): Promise<void> {
  log.write(...LINES);
  await log.end();
}

describe('syslog', () => {
  const rfc5424 = (time: string, text: string, priority = 30): string =>
    `<${String(priority)}>1 ${time} ${hostname()} web ${PID} web - ${text}\n`;
  const options = { tag: '{{.Name}}', 'syslog-format': 'rfc5424micro' };
  /** In whatever zone this machine is. */
  const inZone = (text: string): string => text.replace(/T\d\d:\d\d:(\d\d\.\d{6})(Z|[+-]\d\d:\d\d)/g, 'T..:..:$1Z');
  const expected = [
    rfc5424('2026-01-02T..:..:05.123456Z', 'out'),
    rfc5424('2026-01-02T..:..:05.124456Z', 'err', 27),
    rfc5424('2026-01-02T..:..:05.126456Z', 'half'),
  ];

  it('over TCP', async () => {
    await using receiver = await startStreamReceiver();
    await using log = new ShippedLog(syslogLogDriver, {
      ...options,
      'syslog-address': `tcp://127.0.0.1:${String(receiver.port)}`,
    });
    await ship(log);
    await expect.poll(() => inZone(receiver.text())).toBe(expected.join(''));
  });

  it('over TLS, framed, from a receiver of the right authority only', async () => {
    using authority = new TestAuthority();
    const { certificate, key } = authority.issue('logs', 'IP:127.0.0.1,DNS:localhost');
    const tls = { cert: readFileSync(certificate), key: readFileSync(key) };
    await using receiver = await startStreamReceiver({ tls });
    const own = { ...options, 'syslog-address': `tcp+tls://localhost:${String(receiver.port)}` };
    const trusted = { ...own, 'syslog-tls-ca-cert': authority.certificate };
    await using log = new ShippedLog(syslogLogDriver, trusted);
    await ship(log);
    await expect.poll(() => inZone(receiver.text()).replace(/^\d+ /gm, '')).toBe(expected.join(''));
    expect(receiver.text().match(/^\d+ /gm)).toHaveLength(3);
    const [length = ''] = /^\d+/.exec(receiver.text()) ?? [];
    expect(receiver.text().slice(length.length + 1, length.length + 1 + Number(length))).toMatch(/out\n$/);
    const sink = syslogLogDriver.sink(LOGGED, own, null);
    if (sink === null) throw new Error('syslog ships');
    await expect(syslogLogDriver.reach(sink, own)).rejects.toThrow(/dial tcp localhost:\d+: /);
    const careless = { ...own, 'syslog-tls-skip-verify': 'true' };
    await expect(
      syslogLogDriver.reach(syslogLogDriver.sink(LOGGED, careless, null)!, careless),
    ).resolves.toBeUndefined();
  });

  it('over UDP, a message a packet', async () => {
    await using receiver = await startPacketReceiver();
    await using log = new ShippedLog(syslogLogDriver, {
      ...options,
      'syslog-address': `udp://127.0.0.1:${String(receiver.port)}`,
    });
    await ship(log);
    await expect.poll(() => receiver.packets().map((packet) => inZone(packet.toString()))).toEqual(expected);
  });

  it('over unix sockets of both kinds', async () => {
    const [stream, datagrams] = [join(directory, 's.sock'), join(directory, 'd.sock')];
    await using receiver = await startStreamReceiver({ path: stream });
    await using first = new ShippedLog(syslogLogDriver, { ...options, 'syslog-address': `unix://${stream}` });
    await ship(first);
    await expect.poll(() => inZone(receiver.text())).toBe(expected.join(''));
    using peer = new DatagramPeer(datagrams);
    await using second = new ShippedLog(syslogLogDriver, { ...options, 'syslog-address': `unixgram://${datagrams}` });
    await ship(second);
    const received = [peer.receive(), peer.receive(), peer.receive(), peer.receive()];
    expect(received.map((packet) => packet && inZone(packet.toString()))).toEqual([...expected, null]);
  });
});

describe('gelf', () => {
  it('packs, and cuts what is long into chunks', async () => {
    await using receiver = await startPacketReceiver();
    const address = { 'gelf-address': `udp://127.0.0.1:${String(receiver.port)}`, 'gelf-compression-type': 'none' };
    await using log = new ShippedLog(gelfLogDriver, { ...address, labels: 'team', tag: '{{.ID}}' });
    log.write(record(0, 'short'), record(1, 'x'.repeat(8000), 'stderr'));
    await log.end();
    await expect.poll(() => gelfMessagesOf(receiver.packets())).toHaveLength(2);
    expect(receiver.packets()[0]?.toString()).toBe(
      `{"version":"1.1","host":"${hostname()}","short_message":"short","timestamp":1767323045.123,"level":6,` +
        `"_command":"sh -c x y","_container_id":"${LOGGED.id}","_container_name":"web","_created":"2026-01-01T00:00:00.5Z",` +
        `"_image_id":"${LOGGED.imageId}","_image_name":"busybox:1","_tag":"0123456789ab","_team":"a\\u0026b"}`,
    );
    expect(
      receiver
        .packets()
        .slice(1)
        .every((packet) => packet.length <= 1420),
    ).toBe(true);
    expect(gelfMessagesOf(receiver.packets())[1]).toMatchObject({ short_message: 'x'.repeat(8000), level: 3 });
  });

  it('ends each message with a zero byte over TCP', async () => {
    await using receiver = await startStreamReceiver();
    await using log = new ShippedLog(gelfLogDriver, { 'gelf-address': `tcp://127.0.0.1:${String(receiver.port)}` });
    await ship(log);
    await expect.poll(() => receiver.text().split('\0')).toHaveLength(4);
  });
});

describe('fluentd', () => {
  it('sends messages with whole seconds, or with nanoseconds', async () => {
    for (const [precise, time] of [
      ['false', 1767323045],
      ['true', { seconds: 1767323045, nanoseconds: 123456789 }],
    ] as const) {
      await using receiver = await startStreamReceiver();
      const address = { 'fluentd-address': `tcp://127.0.0.1:${String(receiver.port)}` };
      await using log = new ShippedLog(fluentdLogDriver, {
        ...address,
        tag: 'app',
        'fluentd-sub-second-precision': precise,
      });
      await ship(log);
      await expect.poll(() => forwardEventsOf(receiver.bytes())).toHaveLength(3);
      expect(forwardEventsOf(receiver.bytes())[0]).toEqual({
        tag: 'app',
        time,
        record: { container_id: LOGGED.id, container_name: '/web', source: 'stdout', log: 'out' },
        option: {},
      });
    }
  });

  it('waits for the receiver to confirm, and sends again what it did not', async () => {
    let isSilent = true;
    const confirm = confirming();
    await using receiver = await startStreamReceiver({
      onData: (socket, bytes) => {
        if (isSilent) socket.destroy();
        else confirm(socket, bytes);
        isSilent = false;
      },
    });
    const address = { 'fluentd-address': `tcp://127.0.0.1:${String(receiver.port)}`, 'fluentd-request-ack': 'true' };
    await using log = new ShippedLog(fluentdLogDriver, { ...address, 'fluentd-retry-wait': '10ms' });
    log.write(...LINES);
    await expect.poll(() => receiver.connections()).toBe(2);
    await log.end();
    await expect
      .poll(() => forwardEventsOf(receiver.bytes()).map(({ record: { log: text } }) => text))
      .toEqual(['out', 'err', 'half', 'out', 'err', 'half']);
  });
});

describe('journald', () => {
  it('sends all of Docker’s fields', async () => {
    const socketPath = join(directory, 'journal.sock');
    using peer = new DatagramPeer(socketPath);
    const driver = createJournaldLogDriver({ writesFields: false, socketPath });
    await using log = new ShippedLog(driver, { labels: 'team', tag: 't' });
    log.write(record(0, 'a', 'stderr'), record(1, 'y'.repeat(20_000)));
    await log.end();
    const first = fieldsOf(peer.receive());
    expect(first).toEqual({
      CONTAINER_ID: LOGGED.id.slice(0, 12),
      CONTAINER_ID_FULL: LOGGED.id,
      CONTAINER_NAME: 'web',
      CONTAINER_TAG: 't',
      IMAGE_NAME: 'busybox:1',
      SYSLOG_IDENTIFIER: 't',
      TEAM: 'a&b',
      MESSAGE: 'a',
      PRIORITY: '3',
      SYSLOG_TIMESTAMP: '2026-01-02T03:04:05.123456789Z',
    });
    const [second, third] = [fieldsOf(peer.receive()), fieldsOf(peer.receive())];
    expect(second).toMatchObject({ CONTAINER_PARTIAL_MESSAGE: 'true', CONTAINER_PARTIAL_ORDINAL: '1', PRIORITY: '6' });
    expect(third).toMatchObject({ CONTAINER_PARTIAL_LAST: 'true', CONTAINER_PARTIAL_ORDINAL: '2' });
    expect(third['CONTAINER_PARTIAL_MESSAGE']).toBeUndefined();
    expect(third['CONTAINER_PARTIAL_ID']).toBe(second['CONTAINER_PARTIAL_ID']);
    expect(`${second['MESSAGE'] ?? ''}${third['MESSAGE'] ?? ''}`).toBe('y'.repeat(20_000));
  });
});

describe('json-file', () => {
  it('rotates by size, with gzip where asked, and loses no line over restarts in between', async () => {
    await using log = new ShippedLog(jsonFileLogDriver, { 'max-size': '2000', 'max-file': '4', compress: 'true' });
    const path = join(log.directory, `${LOGGED.id}-json.log`);
    for (let i = 0; i < 40; i += 1) {
      log.write(record(i, `line ${String(i)}`));
      if (i === 13 || i === 27) await log.restart();
    }
    await log.end();
    await log.restart();
    const files = log.names().filter((name) => name.includes('-json.log'));
    expect(files).toEqual([`${LOGGED.id}-json.log`, `${LOGGED.id}-json.log.1.gz`]);
    const text = gunzipSync(readFileSync(`${path}.1.gz`)).toString() + readFileSync(path, 'utf8');
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { log: string });
    expect(lines.map((line) => line.log)).toEqual(Array.from({ length: 40 }, (_, i) => `line ${String(i)}\n`));
  });
});

/** Fields of a journal datagram, all in the binary form. */
function fieldsOf(packet: Buffer | null): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  const bytes = packet ?? Buffer.alloc(0);
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at);
    const length = Number(bytes.readBigUInt64LE(end + 1));
    fields[bytes.toString('utf8', at, end)] = bytes.toString('utf8', end + 9, end + 9 + length);
    at = end + 9 + length + 1;
  }
  return fields;
}
