import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inBatches } from '../support/batches.ts';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until, type CommandResult } from '../support/engine.ts';
import {
  confirming,
  forwardEventsOf,
  gelfMessagesOf,
  startPacketReceiver,
  startStreamReceiver,
} from '../support/log-receivers.ts';

/** What either of the two is to a test. */
interface Side {
  docker(args: readonly string[]): Promise<CommandResult>;
}

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Ordinary lines, an empty one, what JSON escapes, bytes that are no text, a long line, one without its end. */
const SCRIPT = [
  `printf 'plain\\n\\n'`,
  `printf '<a>&"\\\\ \\t\\033 \\342\\200\\250 \\303\\244 \\377 \\342\\202 x\\r\\n'`,
  'sleep 0.1',
  'echo oops >&2',
  'sleep 0.1',
  `head -c 40000 /dev/zero | tr '\\0' y`,
  'echo',
  `printf half; sleep 0.1; echo ' whole'`,
  'sleep 0.1',
  `printf end`,
].join('; ');

function opts(options: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => ['--log-opt', `${name}=${value}`]);
}

async function ok(side: Side, args: readonly string[]): Promise<string> {
  const result = await side.docker(args);
  if (result.code !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trimEnd();
}

/** Runs the script under a driver, until it has ended; gives the container's id. */
async function talk(side: Side, driver: string, options: Readonly<Record<string, string>>): Promise<string> {
  const what = [
    '--network',
    'none',
    '--name',
    'talker',
    '--label',
    'team=a&b',
    '--env',
    'MODE=fast',
    '--log-driver',
    driver,
  ];
  const id = await ok(side, ['run', '-d', ...what, ...opts(options), 'busybox', 'sh', '-c', SCRIPT]);
  await ok(side, ['wait', 'talker']);
  return id;
}

describe('json-file', () => {
  it('is a file that shippers read, with what was asked for, and inspect names it', async () => {
    const id = await talk(engine, 'json-file', { labels: 'team', env: 'MODE', tag: '{{.Name}}' });
    const path = await engine.dockerOk('inspect', '-f', '{{.LogPath}}', 'talker');
    expect(path).toBe(`${engine.dataRoot}/containers/${id}/${id}-json.log`);
    await until(async () => existsSync(path) && readFileSync(path, 'utf8').includes('"log":"end"'));
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(parsed[0]).toEqual({
      log: 'plain\n',
      stream: 'stdout',
      attrs: { MODE: 'fast', tag: 'talker', team: 'a&b' },
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(lines[0]).toMatch(
      /^\{"log":"plain\\n","stream":"stdout","attrs":\{"MODE":"fast","tag":"talker","team":"a\\u0026b"\},"time":"/,
    );
  });

  it('goes on where it was when the engine is killed', async () => {
    const id = await engine.dockerOk(
      ...['run', '-d', '--network', 'none', '--name', 'counter', 'busybox', 'sh', '-c'],
      'i=0; while [ $i -lt 4000 ]; do echo $i; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.05; done; exit 0',
    );
    const path = `${engine.dataRoot}/containers/${id}/${id}-json.log`;
    for (const mark of [500]) {
      await until(async () => existsSync(path) && readFileSync(path, 'utf8').includes(`"log":"${String(mark)}\\n"`));
      await engine.end('SIGKILL');
      await engine.boot();
    }
    await engine.dockerOk('wait', 'counter');
    await until(async () => readFileSync(path, 'utf8').includes('"log":"3999\\n"'));
    const numbers = readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { log: string }).log.trim());
    expect(numbers).toEqual(Array.from({ length: 4000 }, (_, number) => String(number)));
    expect(await engine.dockerOk('logs', '--tail', '2', 'counter')).toBe('3998\n3999');
  });
});

describe('docker logs', () => {
  it('reads what every driver was given, and says so where nothing is kept', async () => {
    await using receiver = await startPacketReceiver();
    const address = { 'gelf-address': `udp://127.0.0.1:${String(receiver.port)}` };
    const run = ['run', '-d', '--network', 'none'];
    const silent = 'Error response from daemon: configured logging driver does not support reading';
    for (const [name, driver, options, expected] of [
      ['aa', 'local', {}, 'hi'],
      ['bb', 'gelf', address, 'hi'],
      ['cc', 'gelf', { ...address, 'cache-disabled': 'true' }, silent],
      ['dd', 'none', {}, silent],
    ] as const) {
      await engine.dockerOk(...run, '--name', name, '--log-driver', driver, ...opts(options), 'busybox', 'echo', 'hi');
      await engine.dockerOk('wait', name);
      const { stdout, stderr } = await engine.docker(['logs', name]);
      expect(`${stdout}${stderr}`.trim()).toBe(expected);
      expect(await engine.dockerOk('inspect', '-f', '{{.LogPath}}', name)).toBe('');
    }
  });

  it('is about drivers that info lists', async () => {
    const drivers = await engine.dockerOk('info', '-f', '{{json .Plugins.Log}}');
    expect(JSON.parse(drivers)).toEqual(['fluentd', 'gelf', 'journald', 'json-file', 'local', 'syslog']);
  });
});

describe('a receiver that is away', () => {
  it('keeps a container from starting, unless it need not be there', async () => {
    const refused = await engine.docker([
      'run',
      '--network',
      'none',
      '--name',
      'early',
      '--log-driver',
      'syslog',
      ...opts({ 'syslog-address': 'tcp://127.0.0.1:1' }),
      'busybox',
      'true',
    ]);
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain(
      'failed to create task for container: failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused',
    );
    for (const options of [{ 'fluentd-async': 'true' }, { mode: 'non-blocking' }]) {
      const address = { 'fluentd-address': '127.0.0.1:1', ...options };
      const args = ['run', '--rm', '--network', 'none', '--log-driver', 'fluentd', ...opts(address), 'busybox', 'true'];
      expect(await engine.docker(args)).toMatchObject({ code: 0 });
    }
  });

  it('gets every line when it is back, also from another engine', async () => {
    await using receiver = await startStreamReceiver();
    const address = `tcp://127.0.0.1:${String(receiver.port)}`;
    const script =
      'i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); [ $((i % 50)) = 0 ] && sleep 0.05; done; exit 0';
    await engine.dockerOk(
      ...[
        'run',
        '-d',
        '--network',
        'none',
        '--name',
        'steady',
        '--log-driver',
        'syslog',
        ...opts({ 'syslog-address': address }),
      ],
      ...['busybox', 'sh', '-c', script],
    );
    await until(async () => receiver.text().includes('line 200\n'));
    await receiver.away();
    await until(async () => (await engine.dockerOk('logs', 'steady')).includes('line 600'));
    await engine.end('SIGKILL');
    await engine.boot();
    await receiver.listen();
    await until(async () => receiver.text().includes('line 999\n'));
    const numbers = receiver
      .text()
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.replace(/.* /, '')));
    expect(new Set(numbers).size).toBe(1000);
    expect(numbers.length).toBeLessThan(1400);
  });
});

describe.skipIf(peerAbsence !== null)(
  `as dockerd does${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  () => {
    let peer: DockerPeer;
    beforeAll(async () => {
      peer = await startDockerPeer();
      await peer.docker(['import', '-', 'busybox'], { stdin: await busyboxTar() });
    });
    afterAll(async () => {
      await peer[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await peer.docker(['rm', '-f', 'talker']);
    });

    /** Ours first. */
    const both = <T>(ask: (side: Side) => Promise<T>): Promise<readonly T[]> => Promise.all([engine, peer].map(ask));

    it('writes json-file byte for byte', async () => {
      const files = await both(async (side) => {
        await talk(side, 'json-file', { labels: 'team', env: 'MODE', tag: 'x/{{.Name}}' });
        const path = await ok(side, ['inspect', '-f', '{{.LogPath}}', 'talker']);
        return until(() => {
          const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
          return text.includes('"log":"end"') ? text : null;
        });
      });
      const [ours, theirs] = files.map((text) => text.replace(/"time":"[^"]*"/g, '"time":""'));
      expect(inStreams(ours ?? '')).toEqual(inStreams(theirs ?? ''));
      expect(files[0]).toMatch(/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"\}\n/);
    });

    it.each(['', 'rfc3164', 'rfc5424', 'rfc5424micro'])('writes syslog byte for byte: %j', async (format) => {
      const texts = await both(async (side) => {
        await using receiver = await startStreamReceiver();
        const address = `tcp://127.0.0.1:${String(receiver.port)}`;
        const options = { 'syslog-address': address, 'syslog-facility': 'local3', tag: 'app/{{.Name}}' };
        await talk(side, 'syslog', format === '' ? options : { ...options, 'syslog-format': format });
        return await until(() => {
          const text = receiver.bytes().toString('latin1');
          return text.endsWith('end\n') ? text : null;
        });
      });
      const [ours, theirs] = texts.map((text) =>
        text
          .replace(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d/g, 'STAMP')
          .replace(
            /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(Z|[+-]\d\d:\d\d)/g,
            (time) => `RFC3339${time.includes('.') ? '.6' : ''}`,
          )
          .replace(/\[\d+\]:/g, '[PID]:')
          .replace(/(app\/talker) \d+ app/g, '$1 PID app'),
      );
      expect(ours?.split('\n').sort()).toEqual(theirs?.split('\n').sort());
    });

    it.each([
      {},
      { 'gelf-compression-type': 'none' },
      { 'gelf-compression-type': 'zlib', 'gelf-compression-level': '9' },
    ])('writes GELF: %j', async (more) => {
      const sent = await both(async (side) => {
        await using receiver = await startPacketReceiver();
        const address = `udp://127.0.0.1:${String(receiver.port)}`;
        await talk(side, 'gelf', { 'gelf-address': address, labels: 'team', env: 'MODE', ...more });
        return await until(() => {
          const messages = gelfMessagesOf(receiver.packets());
          return messages.some(({ short_message: text }) => text === 'end') ? messages : null;
        });
      });
      const [ours, theirs] = sent.map(sameForBoth);
      expect(ours).toEqual(theirs);
      expect(sent[0]?.[0]).toMatchObject({ version: '1.1', _container_name: 'talker', _team: 'a&b', _MODE: 'fast' });
    });

    it('writes GELF over TCP', async () => {
      const sent = await both(async (side) => {
        await using receiver = await startStreamReceiver();
        await talk(side, 'gelf', { 'gelf-address': `tcp://127.0.0.1:${String(receiver.port)}` });
        const text = await until(() => (receiver.text().includes('"end"') ? receiver.text() : null));
        return text
          .split('\0')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Record<string, unknown>);
      });
      const [ours, theirs] = sent.map(sameForBoth);
      expect(ours).toEqual(theirs);
    });

    it.each([{}, { 'fluentd-sub-second-precision': 'true' }, { 'fluentd-request-ack': 'true' }])(
      'writes the forward protocol: %j',
      async (more) => {
        const sent = await both(async (side) => {
          await using receiver = await startStreamReceiver({ onData: confirming() });
          const address = `127.0.0.1:${String(receiver.port)}`;
          await talk(side, 'fluentd', { 'fluentd-address': address, labels: 'team', tag: 'app.{{.Name}}', ...more });
          const events = await until(() => {
            const all = forwardEventsOf(receiver.bytes());
            return all.some(({ record }) => record['log'] === 'end') ? all : null;
          });
          return events
            .map(({ tag, time, record }) => ({ tag, precision: typeof time, ...withoutIds(record) }))
            .sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
        });
        expect(sent[0]).toEqual(sent[1]);
      },
    );

    it('refuses the same options at create, in the same words', async () => {
      const wrong: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
        ['json-file', { nope: '1' }],
        ['local', { labels: 'a' }],
        ['syslog', { 'syslog-address': 'nowhere' }],
        ['syslog', { 'syslog-address': 'unix:///no/such/socket' }],
        ['syslog', { 'syslog-facility': 'kitchen' }],
        ['syslog', { 'syslog-format': 'rfc1' }],
        ['syslog', { 'fluentd-address': 'x' }],
        ['gelf', {}],
        ['gelf', { 'gelf-address': 'udp://1.2.3.4' }],
        ['gelf', { 'gelf-address': 'unix:///x' }],
        ['gelf', { 'gelf-address': 'tcp://h:1', 'gelf-compression-type': 'gzip' }],
        ['gelf', { 'gelf-address': 'udp://h:1', 'gelf-compression-type': 'lz4' }],
        ['gelf', { 'gelf-address': 'udp://h:1', 'gelf-tcp-max-reconnect': '3' }],
        ['gelf', { 'gelf-address': 'udp://h:1', nope: '3' }],
        ['fluentd', { nope: '3' }],
        ['fluentd', { 'fluentd-async': 'perhaps' }],
        ['fluentd', { 'fluentd-retry-wait': 'soon' }],
        ['fluentd', { 'fluentd-retry-wait': '3' }],
        ['fluentd', { 'fluentd-max-retries': '-1' }],
        ['fluentd', { 'fluentd-buffer-limit': 'big' }],
        ['journald', { nope: '1' }],
        ['json-file', { mode: 'sometimes' }],
        ['json-file', { 'max-buffer-size': '1m' }],
        ['json-file', { mode: 'non-blocking', 'max-buffer-size': 'x' }],
        ['json-file', { 'cache-disabled': 'perhaps' }],
        ['none', { nope: '1' }],
      ];
      const said = await inBatches(wrong, async ([driver, options]) => {
        const words = ['--log-driver', driver, ...opts(options)];
        const answers = await both((side) => side.docker(['create', ...words, 'busybox', 'true']));
        return answers.map(({ code, stderr }) => ({ asked: words.join(' '), code, stderr }));
      });
      const [ours, theirs] = [said.map(([first]) => first), said.map(([, second]) => second)];
      expect(ours).toEqual(theirs);
      expect(ours.filter((answer) => answer?.code === 0)).toEqual([]);
    });
  },
);

/** Each stream's lines in order: how the two interleave is chance. */
function inStreams(text: string): readonly string[] {
  const lines = text.split('\n');
  return [...lines.filter((line) => line.includes('"stdout"')), ...lines.filter((line) => line.includes('"stderr"'))];
}

function sameForBoth(messages: readonly Readonly<Record<string, unknown>>[]): readonly unknown[] {
  return messages
    .map(({ _container_id: id, _created: created, timestamp, _image_id: image, _tag: tag, ...rest }) => ({
      ...rest,
      kinds: [typeof id, typeof created, typeof timestamp, typeof image, typeof tag],
    }))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function withoutIds({
  container_id: id,
  partial_id: partial,
  ...rest
}: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { ...rest, kinds: [typeof id, typeof partial] };
}

function orderOf(record: Readonly<Record<string, unknown>>): string {
  return [record['source'], record['log'], record['partial_ordinal']].join(' ');
}
