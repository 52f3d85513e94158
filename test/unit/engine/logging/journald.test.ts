import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import type { LoggedContainer } from '../../../../src/engine/logging/driver.ts';
import { createJournaldLogDriver, fieldName } from '../../../../src/engine/logging/journald/driver.ts';
import { attributesOf } from '../../../../src/engine/logging/options/attributes.ts';
import { renderTag } from '../../../../src/engine/logging/options/tag.ts';

const WEB: LoggedContainer = {
  id: '0123456789abcdef'.repeat(4),
  name: 'web',
  imageId: `sha256:${'ab'.repeat(32)}`,
  imageName: 'busybox:1',
  command: ['sh', '-c', 'x y'],
  createdAt: 0n as Timestamp,
  labels: { team: 'a', 'com.example.tier': 'front', other: 'o' },
  env: ['MODE=fast', 'EMPTY=', 'TEAM=b', 'NOTHING'],
};

describe('a tag', () => {
  it.each([
    ['{{.ID}}', '0123456789ab'],
    ['{{.FullID}}', WEB.id],
    ['{{.ImageName}}/{{.Name}}', 'busybox:1/web'],
    ['a {{- .Name -}} b', 'awebb'],
    ['{{ .ImageID }}', 'sha256:ababa'],
    ['{{.Command}}@{{.DaemonName}}', 'sh -c x y@docker'],
    ['plain', 'plain'],
    ['', ''],
  ])('%j', (template, text) => {
    expect(renderTag(template, WEB)).toBe(text);
  });

  it.each(['{{.Foo}}', '{{if .ID}}x{{end}}', '{{.ID', '{{.Name.Foo}}'])('refuses %j', (template) => {
    expect(() => renderTag(template, WEB)).toThrow(/log-tag|only \{\{\.Name\}\}/);
  });
});

describe('attributes', () => {
  it('are the labels and variables that were named, by fields that journald takes', () => {
    expect(
      attributesOf(WEB, { labels: 'team,missing', 'labels-regex': '^com\\.', env: 'MODE,NOTHING' }, fieldName),
    ).toEqual({
      TEAM: 'a',
      COM_EXAMPLE_TIER: 'front',
      MODE: 'fast',
    });
    expect(attributesOf(WEB, { labels: 'team', 'env-regex': '^TEAM$' }, fieldName)).toEqual({ TEAM: 'b' });
    expect(attributesOf(WEB, {})).toEqual({});
  });

  it.each([
    ['_private', 'PRIVATE'],
    ['a-b.c', 'A_B_C'],
    ['__', ''],
    ['ä1', '1'],
  ])('%j is field %j', (key, field) => {
    expect(fieldName(key)).toBe(field);
  });
});

describe('the journald driver', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'journald-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const driverThat = (writesFields: boolean) =>
    createJournaldLogDriver({ writesFields, socketPath: join(directory, 'socket') });

  it('tells the monitor what to write, with fields where it can', () => {
    writeFileSync(join(directory, 'socket'), '');
    const options = { tag: '{{.Name}}', labels: 'team' };
    expect(driverThat(true).journalEntry(WEB, options)).toEqual({
      name: 'web',
      tag: 'web',
      fields: { IMAGE_NAME: 'busybox:1', TEAM: 'a' },
    });
    expect(driverThat(true).journalEntry(WEB, {})?.tag).toBe('0123456789ab');
    expect(driverThat(true).sink(WEB, options, null)).toBeNull();
  });

  it('has the pump ship what an older monitor cannot write', () => {
    writeFileSync(join(directory, 'socket'), '');
    expect(driverThat(false).journalEntry(WEB, { tag: '{{.Name}}' })).toEqual({ name: 'web', tag: 'web', fields: {} });
    expect(driverThat(false).sink(WEB, { tag: '{{.Name}}', labels: '' }, null)).toBeNull();
    expect(driverThat(false).journalEntry(WEB, { labels: 'team' })).toBeNull();
    expect(driverThat(false).sink(WEB, { labels: 'team', tag: '{{.Name}}' }, null)).toEqual({
      kind: 'journald',
      socketPath: join(directory, 'socket'),
      fields: {
        CONTAINER_ID: '0123456789ab',
        CONTAINER_ID_FULL: WEB.id,
        CONTAINER_NAME: 'web',
        CONTAINER_TAG: 'web',
        IMAGE_NAME: 'busybox:1',
        SYSLOG_IDENTIFIER: 'web',
        TEAM: 'a',
      },
    });
  });

  it('needs a journal', () => {
    expect(() => driverThat(true).journalEntry(WEB, {})).toThrow('journald is not enabled on this host');
  });

  it.each([
    [{ 'max-size': '1m' }, `unknown log opt 'max-size' for journald log driver`],
    [{ mode: 'sideways' }, 'logger: logging mode not supported: sideways'],
    [{ 'labels-regex': '[' }, 'error parsing regexp'],
    [{ tag: '{{.Foo}}' }, `can't evaluate field Foo`],
  ])('refuses %j', (options: Readonly<Record<string, string>>, text) => {
    expect(() => driverThat(true).validate(options)).toThrow(text);
  });

  it('takes all of Docker’s options', () => {
    const options = { labels: 'a', 'labels-regex': 'b', env: 'c', 'env-regex': 'd', tag: '{{.ID}}', mode: 'blocking' };
    expect(() => driverThat(true).validate(options)).not.toThrow();
  });
});
