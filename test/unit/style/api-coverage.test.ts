import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ROUTES } from '../../../src/api/routes/table.ts';
import { TestApi } from '../../support/api-server.ts';

const DOCUMENT = new URL('../../../docs/api-coverage.md', import.meta.url);
const ROW = /^\|\s*([A-Z]+)\s*\|\s*`([^`]+)`\s*\|\s*(yes|own|501|503)\s*\|/;

interface Row {
  readonly name: string;
  readonly state: string;
}

function documented(): readonly Row[] {
  const rows = readFileSync(DOCUMENT, 'utf8')
    .split('\n')
    .map((line) => ROW.exec(line));
  return rows
    .filter((row) => row !== null)
    .map(([, method, path, state]) => ({ name: `${method!} ${path!}`, state: state! }));
}

it('docs/api-coverage.md names every route, once, and no other (cure: add or remove its row)', () => {
  const routes = ROUTES.map(({ method, pattern }) => `${method} ${pattern.replace('*}', '}')}`);
  expect(
    documented()
      .map(({ name }) => name)
      .sort(),
  ).toEqual([...new Set(routes)].sort());
  expect(routes).toHaveLength(new Set(routes).size);
});

it('what the document says is not offered answers so, and only that', async () => {
  await using api = await TestApi.start();
  for (const { name, state } of documented()) {
    const [method = '', path = ''] = name.split(' ');
    // Streams without end, and what needs its own set-up, are tested elsewhere; they are offered.
    if (name === 'GET /events') continue;
    const { status } = await api.call(method, path.replaceAll(/\{\w+\}/g, 'nosuch'), { fields: { Upgrade: 'h2c' } });
    const told = status === 501 || status === 503 ? String(status) : 'yes';
    // Import without a source is refused with 400, start of nothing with 404: all of these are answers of an offered verb.
    expect(`${name} ${told}`).toBe(`${name} ${state === 'own' ? 'yes' : state}`);
  }
});
