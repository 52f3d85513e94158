/**
 * Sealing with AES-256-GCM. A sealed secret is
 *
 * ```
 * byte  0        1: this format
 *       1 –  8   which key: the first eight bytes of what HKDF makes of it for this purpose
 *       9 – 20   nonce, random
 *      21 – 36   tag
 *      37 –      the data, encrypted; the secret's id is authenticated with it, so that rows cannot be exchanged
 * ```
 *
 * A ring has one or more keys: the first seals, all open. That is how a key is renewed: the new one is put before the old
 * one, everything is sealed anew, and the old one can go.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { DataLossError, InvalidArgumentError } from '../../base/errors.ts';

const FORMAT = 1;
const KEY_BYTES = 32;
const KEY_ID = { from: 1, to: 9 } as const;
const NONCE = { from: 9, to: 21 } as const;
const TAG = { from: 21, to: 37 } as const;
const CIPHER = 'aes-256-gcm';

interface Key {
  readonly id: Buffer;
  readonly bytes: Buffer;
}

export class Keyring {
  readonly #keys: readonly [Key, ...Key[]];

  private constructor(keys: readonly [Key, ...Key[]]) {
    this.#keys = keys;
  }

  /** Reads 64 hexadecimal digits a line; empty lines and those that begin with `#` say nothing. */
  static parse(text: string, path: string): Keyring {
    const lines = text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    const [first, ...others] = lines.map((line) => keyOf(line, path));
    // The lines themselves are told nowhere.
    if (first === undefined) throw new InvalidArgumentError(`${path} holds no key for secrets`);
    return new Keyring([first, ...others]);
  }

  /** Text of a new key. */
  static invent(): string {
    return `${randomBytes(KEY_BYTES).toString('hex')}\n`;
  }

  seal(data: Uint8Array, secretId: string): Buffer {
    const [key] = this.#keys;
    const nonce = randomBytes(NONCE.to - NONCE.from);
    const cipher = createCipheriv(CIPHER, key.bytes, nonce);
    cipher.setAAD(Buffer.from(secretId));
    const encrypted = Buffer.concat([cipher.update(data), cipher.final()]);
    return Buffer.concat([Buffer.of(FORMAT), key.id, nonce, cipher.getAuthTag(), encrypted]);
  }

  /** DataLossError when no key opens it, or it is not what was sealed. */
  open(sealed: Uint8Array, secretId: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const key = this.#keyOf(bytes);
    if (key === null) throw new DataLossError('none of the keys at hand has sealed it');
    const decipher = createDecipheriv(CIPHER, key.bytes, bytes.subarray(NONCE.from, NONCE.to));
    decipher.setAAD(Buffer.from(secretId));
    decipher.setAuthTag(bytes.subarray(TAG.from, TAG.to));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(TAG.to)), decipher.final()]);
    } catch (error) {
      throw new DataLossError('it is not what was sealed', { cause: error });
    }
  }

  /** False when another key than the first has sealed it. */
  isCurrent(sealed: Uint8Array): boolean {
    const [{ id }] = this.#keys;
    return id.equals(sealed.subarray(KEY_ID.from, KEY_ID.to));
  }

  #keyOf(sealed: Buffer): Key | null {
    if (sealed.length < TAG.to || sealed[0] !== FORMAT) return null;
    const id = sealed.subarray(KEY_ID.from, KEY_ID.to);
    return this.#keys.find((key) => key.id.equals(id)) ?? null;
  }
}

function keyOf(line: string, path: string): Key {
  if (!/^[0-9a-fA-F]{64}$/.test(line)) {
    throw new InvalidArgumentError(`a key for secrets is 64 hexadecimal digits: a line of ${path} is not`);
  }
  const bytes = Buffer.from(line, 'hex');
  const id = Buffer.from(hkdfSync('sha256', bytes, '', 'org.moored secret key id', KEY_ID.to - KEY_ID.from));
  return { id, bytes };
}
