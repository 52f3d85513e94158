/** The engine log: fields and bytes of the journal's protocol, what happens when journald is gone, the stable messages. */
import { globSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createEventBus } from '../../../src/engine/events/event-bus.ts';
import { journalEntry } from '../../../src/service/log/journal-entry.ts';
import { JournalWriter } from '../../../src/service/log/journal.ts';
import { logLifeEvents } from '../../../src/service/log/life-events.ts';
import { logfmtLine } from '../../../src/service/log/logfmt.ts';
import { MESSAGE_IDS } from '../../../src/service/log/message-ids.ts';
import type { LogFields } from '../../../src/base/logger.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { isLogLevel, openLog } from '../../../src/service/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';

const ID = 'ab'.repeat(32);

/** Reads an entry back as journald does. */
function decode(entry: Buffer): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < entry.length;) {
    const end = entry.indexOf(10, at);
    const line = entry.toString('utf8', at, end);
    const cut = line.indexOf('=');
    if (cut !== -1) {
      fields[line.slice(0, cut)] = line.slice(cut + 1);
      at = end + 1;
      continue;
    }
    const length = Number(entry.readBigUInt64LE(end + 1));
    fields[line] = entry.toString('utf8', end + 9, end + 9 + length);
    at = end + 10 + length;
  }
  return fields;
}

describe('an entry', () => {
  it('has the fields of the container, the message and all others by their names', () => {
    const fields = {
      message: 'container-die',
      containerId: ID,
      containerName: 'web',
      exitCode: 3,
      'odd key!': [1, 2n],
    };
    expect(decode(journalEntry(6, 'container web ended', fields))).toEqual({
      MESSAGE: 'container web ended',
      PRIORITY: '6',
      SYSLOG_IDENTIFIER: 'docker',
      MESSAGE_ID: MESSAGE_IDS['container-die'],
      CONTAINER_ID: 'abababababab',
      CONTAINER_ID_FULL: ID,
      CONTAINER_NAME: 'web',
      EXIT_CODE: '3',
      ODD_KEY_: '[1,"2"]',
    });
  });

  it('keeps line breaks, leaves out what is not there, and takes no name that journald would drop', () => {
    const fields = { reason: 'one\ntwo ö', nothing: null, missing: undefined, ___: 'x', _trusted: 'no', '9lives': 'y' };
    const decoded = decode(journalEntry(3, 'a\nb', fields));
    expect(decoded).toMatchObject({ MESSAGE: 'a\nb', REASON: 'one\ntwo ö', TRUSTED: 'no', LIVES: 'y' });
    expect(Object.keys(decoded)).toHaveLength(6);
    expect(decode(journalEntry(3, 'x', { message: 'no such message' }))).not.toHaveProperty('MESSAGE_ID');
  });

  it('tells no secrets, wherever they stand, and errors by their words', () => {
    const fields = {
      password: 'p1',
      request: { Authorization: 'p2', list: [{ identityToken: 'p3', name: 'kept' }] },
      error: new Error('it broke'),
      deep: { a: { b: { c: { d: { e: { password: 'p4' } } } } } },
    };
    const text = journalEntry(4, 'x', fields).toString();
    expect(text).not.toMatch(/p[1-4]/);
    expect(text).toContain('kept');
    expect(decode(journalEntry(4, 'x', fields))).toMatchObject({ PASSWORD: '[redacted]', ERROR: 'it broke' });
    expect(logfmtLine(new FakeClock(), 'warn', 'a b', { ...fields, message: 'stop', plain: 'word' })).toMatch(
      /^time="2026-01-01T00:00:00Z" level=warning msg="a b" password=\[redacted\]|^time=.* plain=word\n$/,
    );
  });
});

describe('the writer', () => {
  function writer() {
    const kernel = new FakeKernel();
    const stderr = new PassThrough();
    const clock = new FakeClock();
    const made = new JournalWriter(kernel, clock, '/run/journal', () => stderr as unknown as Socket);
    const aside = (): string => String(stderr.read() ?? '');
    return { kernel, clock, made, stderr, aside };
  }

  it('sends a datagram a line, and a file for what is too long for one', () => {
    const { kernel, made, aside } = writer();
    made.write('info', 'one', {});
    kernel.failOn('datagrams.send', 'EMSGSIZE');
    made.write('error', 'two', {});
    expect(kernel.names().slice(1)).toEqual(['datagrams.send', 'datagrams.send', 'datagrams.sendAsFile']);
    expect(kernel.datagrams.map(([address, text]) => [address, text.split('\n')[0]])).toEqual([
      ['/run/journal', 'MESSAGE=one'],
      ['/run/journal', 'MESSAGE=two'],
    ]);
    expect(aside()).toBe('');
    made[Symbol.dispose]();
  });

  it.each(['ENOENT', 'ECONNREFUSED', 'EAGAIN'])('keeps lines on %s, and sends them in order with the next', (code) => {
    const { kernel, made, aside } = writer();
    kernel.failOn('datagrams.send', code, 2);
    for (const text of ['one', 'two', 'three']) made.write('info', text, {});
    expect(kernel.datagrams.map(([, text]) => text.split('\n')[0])).toEqual([
      'MESSAGE=one',
      'MESSAGE=two',
      'MESSAGE=three',
    ]);
    expect(aside()).toBe('');
    made[Symbol.dispose]();
  });

  it('tries by itself until journald is back, and gives the rest to stderr at the end', async () => {
    const { kernel, clock, made, aside } = writer();
    kernel.failOn('datagrams.send', 'ENOENT', 3);
    made.write('error', 'one', { containerId: ID });
    await clock.advance(1_000);
    await clock.advance(1_000);
    expect(kernel.datagrams).toHaveLength(0);
    await clock.advance(1_000);
    expect(kernel.datagrams).toHaveLength(1);
    kernel.failOn('datagrams.send', 'ENOENT', 10);
    made.write('info', 'two', {});
    made.write('error', 'three', { containerId: ID });
    made[Symbol.dispose]();
    expect(aside()).toMatch(
      new RegExp(`^<6>time="[^"]*" level=info msg=two\n<3>time="[^"]*" level=error msg=three containerId=${ID}\n$`),
    );
  });

  it('never throws nor waits when stderr takes nothing either, and tells how much was lost', () => {
    const { kernel, made, stderr } = writer();
    const line = 'x'.repeat(100_000);
    kernel.failOn('datagrams.send', 'ENOENT', 31);
    // Nobody reads: what is written stays in memory, up to a bound.
    for (let count = 0; count < 31; count++) made.write('info', line, {});
    expect(stderr.writableLength + stderr.readableLength).toBeLessThan(1_300_000);
    made.write('info', 'back', {});
    const said = kernel.datagrams.map(([, text]) => text.split('\n')[0]);
    expect(said.at(-1)).toBe('MESSAGE=back');
    expect(said.at(-2)).toMatch(/^MESSAGE=\d+ log lines could be written neither to the journal nor to stderr/);
    made[Symbol.dispose]();
  });
});

describe('the log', () => {
  it('changes its level and target at run time, for loggers that exist as well', async () => {
    const { logger, control } = await openLog({
      level: 'info',
      format: 'text',
      env: {},
      kernel: new FakeKernel(),
      clock: new FakeClock(),
    });
    const kernel = new FakeKernel();
    const journal = await openLog({ level: 'info', format: 'text', env: {}, kernel, clock: new FakeClock() });
    const child = journal.logger.child({ room: 'x' });
    journal.control.setTarget('journal');
    child.debug('silent');
    journal.control.setLevel('debug');
    child.debug('heard', { n: 1 });
    journal.control.setLevel('fatal');
    child.error('silent');
    expect(kernel.datagrams.map(([, text]) => text)).toEqual([expect.stringContaining('MESSAGE=heard')]);
    expect(kernel.datagrams[0]?.[1]).toContain('ROOM=x');
    expect([journal.control.level(), journal.control.target()]).toEqual(['fatal', 'journal']);
    expect([control.level(), control.target()]).toEqual(['info', 'console']);
    expect(() => control.setTarget('printer')).toThrow('invalid log target: printer');
    control.setTarget('null');
    logger.error('nowhere');
  });

  it('has dockerd’s levels', () => {
    expect(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'].every(isLogLevel)).toBe(true);
    expect(isLogLevel('loud')).toBe(false);
  });
});

describe('the life of containers', () => {
  it('is told with the container’s name and image, not with its labels', () => {
    const lines: [string, string, LogFields | undefined][] = [];
    const logger = {
      ...silentLogger,
      info: (text: string, fields?: LogFields) => void lines.push(['info', text, fields]),
      warn: (text: string, fields?: LogFields) => void lines.push(['warn', text, fields]),
    };
    const events = createEventBus(new FakeClock());
    const listening = logLifeEvents(events, logger);
    const attributes = { name: 'web', image: 'busybox', secret: 'label' };
    const publish = (action: string, more = {}): void =>
      events.publish({ type: 'container', action, actorId: ID, attributes: { ...attributes, ...more } });
    publish('start');
    publish('die', { exitCode: '7' });
    publish('oom');
    publish('health_status: unhealthy');
    publish('exec_create: sh');
    events.publish({ type: 'image', action: 'pull', actorId: 'x', attributes: {} });
    const same = { containerId: ID, containerName: 'web', containerImage: 'busybox' };
    expect(lines).toEqual([
      ['info', 'container web started', { message: 'container-start', ...same }],
      ['info', 'container web ended', { message: 'container-die', ...same, exitCode: '7' }],
      ['warn', 'container web ran out of memory', { message: 'container-oom', ...same }],
      ['warn', 'health of container web changed', { message: 'container-health', ...same, health: 'unhealthy' }],
    ]);
    listening[Symbol.dispose]();
    publish('start');
    expect(lines).toHaveLength(4);
  });
});

describe('the stable messages', () => {
  it('are each documented, and never share an id', () => {
    const text = readFileSync(new URL('../../../docs/journal.md', import.meta.url), 'utf8');
    const documented = new Map(
      [...text.matchAll(/^\| ([a-z-]+)\s*\| `([0-9a-f]{32})`/gm)].map(([, name, id]) => [name, id]),
    );
    expect(Object.fromEntries(documented)).toEqual(MESSAGE_IDS);
    expect(new Set(Object.values(MESSAGE_IDS)).size).toBe(documented.size);
  });

  it('are each said by somebody', () => {
    const root = new URL('../../../src/', import.meta.url);
    const said = globSync('**/*.ts', { cwd: root, exclude: ['service/log/message-ids.ts'] })
      .map((path) => readFileSync(new URL(path, root), 'utf8'))
      .join('\n');
    const isSaid = (name: string): boolean => said.includes(`message: '${name}'`) || said.includes(`, '${name}']`);
    expect(Object.keys(MESSAGE_IDS).filter((name) => !isSaid(name))).toEqual([]);
  });
});
