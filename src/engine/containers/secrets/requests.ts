/** Which secrets a container asks for, by its labels. */
import { posix } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';

/** One secret as a file in a container. */
export interface SecretRequest {
  readonly name: string;
  /** Absolute. */
  readonly target: string;
  /** As the container sees them. */
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

/** Where secrets lie whose target is no absolute path. */
export const SECRETS_DIRECTORY = '/run/secrets';
/** `org.moored.secret.NAME=target=…,uid=…,gid=…,mode=…`; an empty value takes the defaults. */
const LABEL_PREFIX = 'org.moored.secret.';
/** `off` keeps the host's subscription out of a container. */
const HOST_CREDENTIALS_LABEL = 'org.moored.suse-secrets';
/** SUSE's Docker keeps references of this form to what it injects; they are no secrets of anybody's. */
const INJECTED_BY_SUSE = /^suse_[0-9a-f]{64}_/;
const DEFAULT_MODE = 0o444;
const MAX_ID = 2 ** 32 - 2;

/** InvalidArgumentError names the label that cannot be understood. */
export function secretRequestsOf(labels: Readonly<Record<string, string>>): readonly SecretRequest[] {
  const requests = Object.entries(labels)
    .filter(([label]) => label.startsWith(LABEL_PREFIX))
    .map(([label, value]) => ({ label, name: label.slice(LABEL_PREFIX.length), value }))
    .filter(({ name }) => !INJECTED_BY_SUSE.test(name))
    .map(requestOf);
  const targets = new Set<string>();
  for (const { target } of requests) {
    if (targets.has(target)) throw new InvalidArgumentError(`Duplicate mount point: ${target}`);
    targets.add(target);
  }
  return requests;
}

/** False where the container's label says that it is to get nothing of the host's. */
export function wantsHostCredentials(labels: Readonly<Record<string, string>>): boolean {
  return !['off', 'no', 'false', '0'].includes((labels[HOST_CREDENTIALS_LABEL] ?? '').toLowerCase());
}

function requestOf({
  label,
  name,
  value,
}: {
  readonly label: string;
  readonly name: string;
  readonly value: string;
}): SecretRequest {
  const wrong = (reason: string): InvalidArgumentError => new InvalidArgumentError(`invalid label ${label}: ${reason}`);
  if (name === '') throw wrong('it names no secret');
  const fields = new Map<string, string>();
  for (const word of value.split(',').filter((part) => part !== '')) {
    const cut = word.indexOf('=');
    if (cut < 0) throw wrong(`invalid field '${word}' must be a key=value pair`);
    const key = word.slice(0, cut).trim();
    if (!['target', 'uid', 'gid', 'mode'].includes(key)) throw wrong(`invalid field '${key}' in secret request`);
    fields.set(key, word.slice(cut + 1));
  }
  return {
    name,
    target: targetOf(fields.get('target') ?? name, wrong),
    uid: idOf('uid', fields.get('uid') ?? '0', wrong),
    gid: idOf('gid', fields.get('gid') ?? '0', wrong),
    mode: modeOf(fields.get('mode'), wrong),
  };
}

type Wrong = (reason: string) => InvalidArgumentError;

function targetOf(text: string, wrong: Wrong): string {
  const target = posix.resolve(SECRETS_DIRECTORY, text);
  // A relative one is a file's name in the secrets' directory, and leads nowhere else.
  if (text === '' || text.includes('\0') || text.endsWith('/') || target === '/' || target === SECRETS_DIRECTORY) {
    throw wrong(`invalid target '${text}'`);
  }
  if (!text.startsWith('/') && !target.startsWith(`${SECRETS_DIRECTORY}/`)) throw wrong(`invalid target '${text}'`);
  return target;
}

function idOf(key: string, text: string, wrong: Wrong): number {
  const id = Number(text);
  if (!/^\d{1,10}$/.test(text) || id > MAX_ID) throw wrong(`invalid ${key} '${text}'`);
  return id;
}

/** Octal, as in `docker service create --secret`. */
function modeOf(text: string | undefined, wrong: Wrong): number {
  if (text === undefined) return DEFAULT_MODE;
  if (!/^0?[0-7]{1,4}$/.test(text)) throw wrong(`invalid mode specified: '${text}'`);
  return parseInt(text, 8);
}
