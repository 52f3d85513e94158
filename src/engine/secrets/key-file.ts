/** Where the keys come from: a file of the engine's own, made when the first secret is, or one that it was given. */
import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoCodeOf, InvalidArgumentError, UnavailableError } from '../../base/errors.ts';
import { pathErrorText } from '../../base/errno-text.ts';
import { Keyring } from './keyring.ts';

/** Permissions that would let others than the owner at the keys. */
const OTHERS = 0o077;

/** Where keys are read, and made when there are none. */
export interface KeySource {
  readonly path: string;
  /** Null when there are none. */
  read(): Keyring | null;
  /** Makes and keeps a first key. UnavailableError where that cannot be. */
  make(): Keyring;
}

/** The engine's own file. */
export function ownKeyFile(path: string): KeySource {
  return { path, read: () => readKeys(path), make: () => makeKeys(path) };
}

/** A file that somebody else gives the engine, and that it does not write. */
export function givenKeyFile(path: string): KeySource {
  const gone = (): never => {
    throw new UnavailableError(`the credential ${path} has gone`);
  };
  return { path, read: () => readKeys(path) ?? gone(), make: gone };
}

/** Reads the keys; null when there is no such file. */
function readKeys(path: string): Keyring | null {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw new UnavailableError(pathErrorText('open', path, error), { cause: error });
  }
  try {
    if ((fstatSync(fd).mode & OTHERS) !== 0) {
      throw new InvalidArgumentError(`${path} is open to others than its owner: chmod 600 it, and renew the key`);
    }
    return Keyring.parse(readFileSync(fd, 'utf8'), path);
  } finally {
    closeSync(fd);
  }
}

/** Writes a new key to disk and reads it back: what is sealed with it must be opened after a power cut. */
function makeKeys(path: string): Keyring {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.new`;
  writeDurably(draft, Keyring.invent());
  renameSync(draft, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
  const keys = readKeys(path);
  if (keys === null) throw new UnavailableError(`${path} has gone again`);
  return keys;
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
