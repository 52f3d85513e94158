/**
 * The secrets room: named secrets, sealed in the state file. It calls the state file and tells of what it does; which
 * container has which secret is the containers room's business, which it asks before it removes one.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { DataLossError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Events } from '../events/types.ts';
import type { Database } from '../state/database.ts';
import { SecretRepository, type StoredSecret } from '../state/secrets.ts';
import { ambiguousSecret, invalidSecret, secretExists, secretInUse, secretNotFound } from './errors.ts';
import type { KeySource } from './key-file.ts';
import type { Keyring } from './keyring.ts';
import { documentOf, viewOf } from './record.ts';
import type { BuildSecretSource, Secrets, SecretUsers, SecretView } from './types.ts';

/** What the room is given to work with. */
export interface SecretsDependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly events: Pick<Events, 'publish'>;
  readonly users: SecretUsers;
  readonly logger: Logger;
  readonly keys: KeySource;
}

/** swarm's limit. */
const MAX_DATA_BYTES = 500 * 1024;
const MAX_NAME_LENGTH = 64;
const NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$/;
/** A label of the secret. */
const FOR_BUILDS = 'org.moored.build-secret';
const ID_LENGTH = 25;
const ID_LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Makes the room. Secrets that an older key has sealed are sealed anew with the first one. */
export function createSecrets(dependencies: SecretsDependencies): Secrets & BuildSecretSource {
  const { database, clock, users } = dependencies;
  const repository = new SecretRepository(database);
  const keys = new Keys(dependencies);
  keys.renew(repository);

  const find = (ref: string): StoredSecret => {
    const exact = repository.get(ref);
    if (exact !== null) return exact;
    const matches = ref === '' ? [] : repository.list().filter(({ id }) => id.startsWith(ref));
    const [only] = matches;
    if (only === undefined) throw secretNotFound(ref);
    if (matches.length > 1) throw ambiguousSecret(ref, matches.length);
    return only;
  };
  const publish = (action: string, { id, name }: SecretView): void => {
    dependencies.events.publish({ type: 'secret', action, actorId: id, attributes: { name } });
  };

  return {
    list: () => repository.list().map(viewOf),
    get: (ref) => viewOf(find(ref)),
    has: (name) => repository.list().some((stored) => stored.name === name),
    isForBuilds: (name) =>
      repository.list().some((stored) => stored.name === name && viewOf(stored).labels[FOR_BUILDS] === 'on'),
    create({ name, data, labels }) {
      checkName(name);
      checkData(data);
      if (repository.list().some((stored) => stored.name === name)) throw secretExists(name);
      const now = clock.now();
      const view: SecretView = { id: newSecretId(), name, labels, createdAt: now, updatedAt: now, version: 1 };
      const sealed = keys.toSeal().seal(data, view.id);
      repository.insert({ ...view, document: documentOf(view), sealed });
      publish('create', view);
      return view;
    },
    update(ref, change) {
      const stored = find(ref);
      const before = viewOf(stored);
      if (change.version !== null && change.version !== before.version) throw invalidSecret('update out of sequence');
      if (change.data !== null) checkData(change.data);
      const labels = change.labels ?? before.labels;
      const view: SecretView = { ...before, labels, updatedAt: clock.now(), version: before.version + 1 };
      const sealed = change.data === null ? stored.sealed : keys.toSeal().seal(change.data, view.id);
      repository.update({ id: view.id, document: documentOf(view), sealed });
      publish('update', view);
      return view;
    },
    remove(ref) {
      const view = viewOf(find(ref));
      const holders = users.secretUsersOf(view.name).map((user) => user.name);
      if (holders.length > 0) throw secretInUse(view.name, holders);
      repository.delete(view.id);
      publish('remove', view);
    },
    open(name) {
      const stored = repository.list().find((candidate) => candidate.name === name);
      if (stored === undefined) throw secretNotFound(name);
      return keys.open(stored);
    },
  };
}

/** The keys, read when they are first needed. */
class Keys {
  readonly #source: KeySource;
  readonly #logger: Logger;
  #ring: Keyring | null = null;

  constructor({ keys, logger }: SecretsDependencies) {
    this.#source = keys;
    this.#logger = logger;
  }

  /** Those at hand, or a new one. */
  toSeal(): Keyring {
    this.#ring ??= this.#source.read() ?? this.#source.make();
    return this.#ring;
  }

  open({ id, name, sealed }: StoredSecret): Buffer {
    try {
      this.#ring ??= this.#source.read();
      if (this.#ring === null) throw new DataLossError('it has gone');
      return this.#ring.open(sealed, id);
    } catch (error) {
      const text = `secret ${name} cannot be opened with the keys of ${this.#source.path}: ${messageOf(error)}`;
      throw new DataLossError(text, { cause: error });
    }
  }

  /** A secret that cannot be opened must not keep the engine, and all others, from coming up. */
  renew(repository: SecretRepository): void {
    for (const stored of repository.list()) {
      try {
        const data = this.open(stored);
        if (this.toSeal().isCurrent(stored.sealed)) continue;
        repository.update({ ...stored, sealed: this.toSeal().seal(data, stored.id) });
      } catch (error) {
        this.#logger.error('a secret cannot be used', { secret: stored.name, reason: messageOf(error) });
      }
    }
  }
}

function checkName(name: string): void {
  if (name === '') throw invalidSecret('name must be provided');
  if (name.length > MAX_NAME_LENGTH || !NAME.test(name)) {
    throw invalidSecret(
      'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]',
    );
  }
}

function checkData(data: Uint8Array): void {
  if (data.length === 0 || data.length > MAX_DATA_BYTES - 1) {
    throw invalidSecret(`secret data must be larger than 0 and less than ${String(MAX_DATA_BYTES)} bytes`);
  }
}

function newSecretId(): string {
  return Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]).join('');
}
