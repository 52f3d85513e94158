import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, DataLossError, InvalidArgumentError, NotFoundError } from '../../../../src/base/errors.ts';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { givenKeyFile, ownKeyFile } from '../../../../src/engine/secrets/key-file.ts';
import { Keyring } from '../../../../src/engine/secrets/keyring.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { secretsInMemory } from '../../../support/fake-secrets.ts';
import { RecordingLogger } from '../../../support/recording-logger.ts';

const data = (text: string): Buffer => Buffer.from(text);

describe('named secrets', () => {
  const clock = new FakeClock();

  it('are told of without what they hold', () => {
    const events: unknown[] = [];
    const secrets = secretsInMemory(clock, { events: { publish: (event) => void events.push(event) } });
    const made = secrets.create({ name: 'db.password', data: data('s3cret'), labels: { team: 'a' } });
    expect(made).toMatchObject({ name: 'db.password', labels: { team: 'a' }, version: 1 });
    expect(made.id).toMatch(/^[0-9a-z]{25}$/);
    expect(secrets.list()).toEqual([made]);
    expect(secrets.open('db.password').toString()).toBe('s3cret');
    secrets.remove('db.password');
    expect(secrets.list()).toEqual([]);
    expect(events).toEqual([
      { type: 'secret', action: 'create', actorId: made.id, attributes: { name: 'db.password' } },
      { type: 'secret', action: 'remove', actorId: made.id, attributes: { name: 'db.password' } },
    ]);
  });

  it('are found by id, name and the beginning of an id', () => {
    const secrets = secretsInMemory(clock);
    const { id } = secrets.create({ name: 'one', data: data('1'), labels: {} });
    for (const ref of [id, 'one', id.slice(0, 8)]) expect(secrets.get(ref).id).toBe(id);
    expect(() => secrets.get('on')).toThrow(new NotFoundError('secret on not found'));
    expect(() => secrets.get('')).toThrow(NotFoundError);
    for (let made = 0; made < 40; made++) secrets.create({ name: `n${String(made)}`, data: data('x'), labels: {} });
    // Forty-one ids cannot all begin with letters of their own.
    const shared = secrets.list().map((view) => view.id[0] ?? '');
    const [letter = ''] = shared.filter((first, index) => shared.indexOf(first) !== index);
    expect(() => secrets.get(letter)).toThrow(/^secret . is ambiguous \(\d+ matches found\)$/);
  });

  it.each([
    ['', 'name must be provided'],
    ['-x', 'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed'],
    ['x'.repeat(65), 'invalid name, only 64'],
    ['a/b', 'invalid name'],
  ])('refuse the name %j', (name, text) => {
    const secrets = secretsInMemory(clock);
    expect(() => secrets.create({ name, data: data('x'), labels: {} })).toThrow(
      `rpc error: code = InvalidArgument desc = ${text}`,
    );
    expect(secrets.list()).toEqual([]);
  });

  it('hold something, and less than 500 KiB', () => {
    const secrets = secretsInMemory(clock);
    const text = 'secret data must be larger than 0 and less than 512000 bytes';
    for (const size of [0, 512000]) {
      expect(() => secrets.create({ name: 'x', data: Buffer.alloc(size), labels: {} })).toThrow(text);
    }
    secrets.create({ name: 'x', data: Buffer.alloc(511999), labels: {} });
    expect(() => secrets.update('x', { version: null, labels: null, data: Buffer.alloc(0) })).toThrow(text);
    expect(secrets.open('x')).toHaveLength(511999);
  });

  it('are made once', () => {
    const secrets = secretsInMemory(clock);
    secrets.create({ name: 'x', data: data('1'), labels: {} });
    expect(() => secrets.create({ name: 'x', data: data('2'), labels: {} })).toThrow(
      new ConflictError('rpc error: code = AlreadyExists desc = secret x already exists'),
    );
    expect(secrets.open('x').toString()).toBe('1');
  });

  it('change by version', () => {
    const secrets = secretsInMemory(clock);
    secrets.create({ name: 'x', data: data('1'), labels: { a: '1' } });
    expect(secrets.update('x', { version: 1, labels: { b: '2' }, data: null })).toMatchObject({ version: 2 });
    expect(() => secrets.update('x', { version: 1, labels: null, data: data('3') })).toThrow(
      new InvalidArgumentError('rpc error: code = InvalidArgument desc = update out of sequence'),
    );
    expect(secrets.open('x').toString()).toBe('1');
    secrets.update('x', { version: 2, labels: null, data: data('3') });
    expect(secrets.get('x')).toMatchObject({ labels: { b: '2' }, version: 3 });
    expect(secrets.open('x').toString()).toBe('3');
  });

  it('stay while a container has them', () => {
    const users = { secretUsersOf: () => ['web', 'db'].map((name) => ({ id: name as ContainerId, name })) };
    const secrets = secretsInMemory(clock, { users });
    secrets.create({ name: 'x', data: data('1'), labels: {} });
    expect(() => secrets.remove('x')).toThrow(
      new ConflictError("secret 'x' is in use by the following containers: web, db"),
    );
    expect(secrets.has('x')).toBe(true);
  });
});

describe('the keys of secrets', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'moored-keys-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const clock = new FakeClock();
  const open = (path: string, database: Database, logger = new RecordingLogger()) =>
    secretsInMemory(clock, { database, logger, keys: ownKeyFile(path) });

  it('are made with the first secret, for nobody else to read', () => {
    const path = join(root, 'secrets', 'key');
    using database = Database.open(':memory:');
    const secrets = open(path, database);
    expect(existsSync(path)).toBe(false);
    secrets.create({ name: 'x', data: data('1'), labels: {} });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, 'secrets')).mode & 0o777).toBe(0o700);
    expect(open(path, database).open('x').toString()).toBe('1');
  });

  it('are renewed by putting a new one first', () => {
    const path = join(root, 'key');
    using database = Database.open(':memory:');
    open(path, database).create({ name: 'x', data: data('1'), labels: {} });
    const old = readFileSync(path, 'utf8');
    const renewed = Keyring.invent();
    writeFileSync(path, `# new\n${renewed}${old}`);
    open(path, database);
    writeFileSync(path, renewed);
    expect(open(path, database).open('x').toString()).toBe('1');
    writeFileSync(path, old);
    expect(() => open(path, database).open('x')).toThrow(DataLossError);
  });

  it('that are gone keep the engine from nothing but the secret', () => {
    const path = join(root, 'key');
    using database = Database.open(':memory:');
    open(path, database).create({ name: 'x', data: data('1'), labels: {} });
    rmSync(path);
    const logger = new RecordingLogger();
    const secrets = open(path, database, logger);
    expect(logger.messages('error')).toEqual(['a secret cannot be used']);
    expect(() => secrets.open('x')).toThrow(`secret x cannot be opened with the keys of ${path}: it has gone`);
    secrets.update('x', { version: null, labels: null, data: data('2') });
    expect(secrets.open('x').toString()).toBe('2');
  });

  it('are refused when others may read them, or when they are none, without a word of them', () => {
    const path = join(root, 'key');
    using database = Database.open(':memory:');
    writeFileSync(path, 'zz-not-a-key');
    const make = (): unknown => open(path, database).create({ name: 'x', data: data('1'), labels: {} });
    chmodSync(path, 0o644);
    expect(make).toThrow(`${path} is open to others than its owner`);
    chmodSync(path, 0o600);
    expect(make).toThrow(`a key for secrets is 64 hexadecimal digits: a line of ${path} is not`);
    writeFileSync(path, '# none\n');
    expect(make).toThrow(`${path} holds no key for secrets`);
  });

  it('that are handed in are never written', () => {
    const path = join(root, 'given');
    using database = Database.open(':memory:');
    const secrets = secretsInMemory(clock, { database, keys: givenKeyFile(path) });
    expect(() => secrets.create({ name: 'x', data: data('1'), labels: {} })).toThrow(`the credential ${path} has gone`);
    expect(existsSync(path)).toBe(false);
  });

  it('open what they have sealed, for the secret that it was sealed for', () => {
    const ring = Keyring.parse(Keyring.invent(), 'test');
    const sealed = ring.seal(data('s3cret'), 'id-one');
    expect(sealed.includes('s3cret')).toBe(false);
    expect(ring.open(sealed, 'id-one').toString()).toBe('s3cret');
    expect(() => ring.open(sealed, 'id-two')).toThrow(DataLossError);
    for (let at = 0; at < sealed.length; at++) {
      const damaged = Buffer.from(sealed);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(() => ring.open(damaged, 'id-one')).toThrow(DataLossError);
    }
    expect(() => ring.open(sealed.subarray(0, 20), 'id-one')).toThrow(DataLossError);
  });
});
