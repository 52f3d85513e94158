import type { JsonObject, JsonValue } from '../base/json.ts';

/*
 * Readers of the daemon's JSON. moor shows what it gets and checks no schema: a field of another type, or none,
 * reads as the empty value, so that an older or newer daemon still prints its row.
 */

export function parseJson(text: string): JsonValue {
  return JSON.parse(text) as JsonValue;
}

export function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

export function listOf(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]).map(objectOf) : [];
}

export function textsOf(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]).map(textOf) : [];
}

export function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

export function numberOf(value: JsonValue | undefined): number {
  return typeof value === 'number' ? value : 0;
}
