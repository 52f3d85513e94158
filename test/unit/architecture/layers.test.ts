import { basename, join } from 'node:path';
import { cruise } from 'dependency-cruiser';
import type { ICruiseResult, IFlattenedRuleSet } from 'dependency-cruiser';
import { expect, test } from 'vitest';
// @ts-expect-error -- the configuration is plain JavaScript without declarations.
import configuration from '../../../.dependency-cruiser.mjs';

const OFFENCES = join(import.meta.dirname, 'offences');

interface Configuration extends IFlattenedRuleSet {
  readonly options: object;
}

async function violations(): Promise<{ rule: string; file: string; comment: string | undefined }[]> {
  const { forbidden, options } = configuration as Configuration;
  const { output } = await cruise(['src'], {
    ...options,
    baseDir: OFFENCES,
    validate: true,
    ruleSet: { forbidden: forbidden ?? [] },
  });
  return (output as ICruiseResult).summary.violations.map(({ rule, from }) => ({
    rule: rule.name,
    // A cycle is reported at either of its ends.
    file: basename(from, '.ts').replace(/-other$/, ''),
    comment: forbidden?.find(({ name }) => name === rule.name)?.comment,
  }));
}

test('every layer rule fires on the file planted against it, and on no other file', async () => {
  const found = await violations();
  const names = (configuration as Configuration).forbidden?.map(({ name }) => name ?? '') ?? [];
  expect(names.length).toBeGreaterThan(30);

  const strays = found.filter(({ rule, file }) => rule !== file);
  expect(strays).toEqual([]);
  expect(new Set(found.filter(({ rule, file }) => rule === file).map(({ rule }) => rule))).toEqual(new Set(names));
});

test('every layer rule says what to do in place of the offence', () => {
  const silent = (configuration as Configuration).forbidden?.filter(({ comment }) => (comment ?? '').length < 40);
  expect(silent).toEqual([]);
});
