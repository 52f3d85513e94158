/**
 * An entry in the journal's native protocol. Pure.
 *
 *     NAME=value \n                                    a value without line break
 *     NAME \n length (u64, little-endian) value \n     any value
 */
import type { LogFields } from '../../base/logger.ts';
import { messageIdOf } from './message-ids.ts';
import { redacted } from './redact.ts';

const IDENTIFIER = 'docker';
/** journald drops fields with longer names. */
const MAX_NAME_LENGTH = 64;
const SHORT_ID_LENGTH = 12;
const NEWLINE = Buffer.from('\n');

/** The bytes of one entry. */
export function journalEntry(priority: number, text: string, fields: LogFields): Buffer {
  const parts = [field('MESSAGE', text), field('PRIORITY', String(priority)), field('SYSLOG_IDENTIFIER', IDENTIFIER)];
  for (const [key, value] of Object.entries(redacted(fields) as Record<string, unknown>)) {
    parts.push(...named(key, value));
  }
  return Buffer.concat(parts);
}

function named(key: string, value: unknown): readonly Buffer[] {
  if (value === undefined || value === null) return [];
  switch (key) {
    case 'container':
    case 'containerId': {
      const id = textOf(value);
      return [field('CONTAINER_ID', id.slice(0, SHORT_ID_LENGTH)), field('CONTAINER_ID_FULL', id)];
    }
    case 'message': {
      const id = messageIdOf(value);
      return id === null ? [] : [field('MESSAGE_ID', id)];
    }
    default: {
      const name = nameOf(key);
      return name === null ? [] : [field(name, textOf(value))];
    }
  }
}

/** `hostPort` → `HOST_PORT`; null for what journald would not take. */
function nameOf(key: string): string | null {
  const name = key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, '_')
    .replace(/^[_0-9]+/, '')
    .slice(0, MAX_NAME_LENGTH);
  return name === '' ? null : name;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value, bigints) || String(value);
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, NEWLINE]);
}
