/**
 * Answers against Docker's own description of the API. Each documented property must have the documented type; properties
 * that the description does not know are listed here with the reason.
 */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ROUTES } from '../../src/api/routes/table.ts';
import { Router } from '../../src/api/router.ts';
import { TestApi } from '../support/api-server.ts';

const SPEC = new URL('../../../shared/spec/engine-api-v1.51.yaml', import.meta.url);
const isThere = existsSync(SPEC);
if (!isThere)
  console.log('skipped: the API description ../shared/spec/engine-api-v1.51.yaml is not beside the repository');

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly allOf?: readonly Schema[];
  readonly 'x-nullable'?: boolean;
  readonly enum?: readonly unknown[];
}

interface Spec {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly responses: Readonly<Record<string, { readonly schema?: Schema }>> }>>
    >
  >;
  readonly definitions: Readonly<Record<string, Schema>>;
}

/** What dockerd sends although its own description does not name it. */
const UNDOCUMENTED = new Set(['RestartCount', 'ContainerdCommit', 'status', 'id', 'from', 'BuilderSize', 'ExecIDs']);

describe.skipIf(!isThere)('shapes of API 1.51', () => {
  let spec: Spec;
  let api: TestApi;
  let id = '';
  let execId = '';
  beforeAll(async () => {
    spec = parse(readFileSync(SPEC, 'utf8')) as Spec;
    api = await TestApi.start();
    id = await api.create(
      ['sleep'],
      { Labels: { a: 'b' }, HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } },
      'shape',
    );
    await api.call('POST', `/containers/${id}/start`);
    const exec = await api.call('POST', `/containers/${id}/exec`, { body: { Cmd: ['true'] } });
    execId = exec.json.Id;
    await api.call('POST', '/volumes/create', { body: { Name: 'shape' } });
  });
  afterAll(async () => {
    await api[Symbol.asyncDispose]();
  });

  it('has a route for every operation described', () => {
    const router = new Router(ROUTES);
    const missing = Object.entries(spec.paths).flatMap(([path, operations]) =>
      Object.keys(operations)
        .filter((method) => router.find(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x')) === null)
        .map((method) => `${method} ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it.each([
    ['get', '/version', '/version'],
    ['get', '/info', '/info'],
    ['get', '/containers/json', '/containers/json'],
    ['get', '/containers/{id}/json', '/containers/shape/json'],
    ['get', '/images/json', '/images/json'],
    ['get', '/images/{name}/json', '/images/busybox/json'],
    ['get', '/images/{name}/history', '/images/busybox/history'],
    ['get', '/networks', '/networks'],
    ['get', '/networks/{id}', '/networks/bridge'],
    ['get', '/volumes', '/volumes'],
    ['get', '/volumes/{name}', '/volumes/shape'],
    ['get', '/system/df', '/system/df'],
    ['post', '/containers/prune', '/containers/prune'],
    ['post', '/images/prune', '/images/prune'],
    ['post', '/volumes/prune', '/volumes/prune'],
  ])('%s %s', async (method, described, path) => {
    const { status, json } = await api.call(method.toUpperCase(), `/v1.51${path}`);
    expect(status).toBe(200);
    const schema = spec.paths[described]![method]!.responses['200']!.schema!;
    expect(offences(spec, schema, json, '')).toEqual([]);
  });

  it('exec inspect, container create and wait', async () => {
    const exec = await api.call('GET', `/v1.51/exec/${execId}/json`);
    expect(offences(spec, spec.paths['/exec/{id}/json']!['get']!.responses['200']!.schema!, exec.json, '')).toEqual([]);
    const created = await api.call('POST', '/v1.51/containers/create', { body: { Image: 'busybox' } });
    expect(offences(spec, spec.definitions['ContainerCreateResponse']!, created.json, '')).toEqual([]);
    const waited = await api.call('POST', `/v1.51/containers/${String(created.json.Id)}/wait`);
    expect(offences(spec, spec.definitions['ContainerWaitResponse']!, waited.json, '')).toEqual([]);
  });
});

function offences(spec: Spec, given: Schema, value: unknown, at: string): readonly string[] {
  const schema = resolve(spec, given);
  // Go prints nil slices, maps and pointers as null; which ones is checked against dockerd's recorded answers.
  if (value === null || value === undefined) return [];
  const kind = Array.isArray(value) ? 'array' : typeof value;
  const wanted =
    schema.type === 'integer' ? 'number' : (schema.type ?? (schema.properties === undefined ? kind : 'object'));
  if (kind !== wanted) return [`${at}: ${kind} instead of ${wanted}`];
  if (Array.isArray(value))
    return value.flatMap((item, i) => offences(spec, schema.items ?? {}, item, `${at}[${String(i)}]`));
  if (typeof value !== 'object') {
    const allowed = schema.enum;
    return allowed === undefined || allowed.includes(value) || value === ''
      ? []
      : [`${at}: ${JSON.stringify(value)} is none of ${allowed.join()}`];
  }
  return Object.entries(value).flatMap(([name, item]) => {
    const property = schema.properties?.[name];
    if (property !== undefined) return offences(spec, property, item, `${at}.${name}`);
    if (typeof schema.additionalProperties === 'object')
      return offences(spec, schema.additionalProperties, item, `${at}.${name}`);
    const isOpen = schema.properties === undefined || schema.additionalProperties === true || UNDOCUMENTED.has(name);
    return isOpen ? [] : [`${at}.${name}: not described`];
  });
}

function resolve(spec: Spec, schema: Schema): Schema {
  if (schema.$ref !== undefined) return resolve(spec, spec.definitions[schema.$ref.replace('#/definitions/', '')]!);
  if (schema.allOf === undefined) return schema;
  const parts = schema.allOf.map((part) => resolve(spec, part));
  return {
    ...Object.assign({}, ...parts),
    type: 'object',
    properties: Object.assign({}, schema.properties, ...parts.map(({ properties }) => properties)),
  } as Schema;
}
