/**
 * Stands in for vitest where that is far too slow, in an emulated machine: bundled with the test files under its name (see
 * bundle.ts), it knows what they use of it. One process, one case after another, in the order of the files; what comes of
 * each goes to standard output as one line behind the character 0x1e (see report.ts).
 *
 *   cases.js --list [--only=REGEX]     prints the names of the cases
 *   cases.js [--only=REGEX]            runs them
 */
import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { endWhatIsAlive } from '../left-alive.ts';
import { line, type CaseReport } from './report.ts';
import { titleOf } from './titles.ts';

export { expect } from './matchers.ts';

/** Longer than any case takes; the run goes on behind one that hangs. */
const CASE_LIMIT_MS = 150_000;

interface Context {
  skip(condition?: boolean | string, note?: string): void;
}
type Hook = (context: Context) => unknown;
type Body = (...args: readonly never[]) => unknown;

interface Suite {
  readonly name: string;
  readonly parent: Suite | null;
  readonly skipped: boolean;
  readonly hooks: Readonly<Record<HookName, Hook[]>>;
  readonly children: (Suite | Case)[];
}
interface Case {
  readonly number: number;
  readonly name: string;
  readonly skipped: boolean;
  readonly body: (context: Context) => unknown;
}
type HookName = 'beforeAll' | 'beforeEach' | 'afterEach' | 'afterAll';

class Skipped extends Error {}

let count = 0;
let current = suite('', null, false);
const files: Suite[] = [];

function suite(name: string, parent: Suite | null, skipped: boolean): Suite {
  return {
    name,
    parent,
    skipped,
    hooks: { beforeAll: [], beforeEach: [], afterEach: [], afterAll: [] },
    children: [],
  };
}

/** Takes in the cases of one file. */
export async function collect(file: string, load: () => Promise<unknown>): Promise<void> {
  current = suite(file, null, false);
  files.push(current);
  await load();
}

function addSuite(name: string, skipped: boolean, fill: () => unknown): void {
  const outer = current;
  current = suite(name, outer, skipped || outer.skipped);
  outer.children.push(current);
  try {
    fill();
  } finally {
    current = outer;
  }
}

function addCase(name: string, skipped: boolean, body: (context: Context) => unknown): void {
  current.children.push({ number: count++, name, skipped: skipped || current.skipped, body });
}

/** `name, body` in either of vitest's two orders of options. */
function bodyOf(...rest: readonly unknown[]): Body {
  return (rest.find((word) => typeof word === 'function') ?? ((): void => undefined)) as Body;
}

type Add = (name: string, skipped: boolean, body: (context: Context) => unknown) => void;

function verb(add: Add) {
  const plain =
    (skipped: boolean) =>
    (name: string, ...rest: readonly unknown[]): void =>
      add(name, skipped, bodyOf(...rest) as (context: Context) => unknown);
  const each =
    (rows: readonly unknown[]) =>
    (name: string, ...rest: readonly unknown[]): void => {
      for (const [index, value] of rows.entries()) {
        const row = Array.isArray(value) ? (value as readonly unknown[]) : [value];
        const body = bodyOf(...rest) as (...args: readonly unknown[]) => unknown;
        add(titleOf(name, row, index), false, (context) => body(...row, context));
      }
    };
  return Object.assign(plain(false), {
    each,
    skip: plain(true),
    skipIf: (condition: unknown) =>
      condition === true ? Object.assign(plain(true), { each: skippedEach }) : verb(add),
    runIf: (condition: unknown) => (condition === true ? verb(add) : plain(true)),
  });
  function skippedEach(rows: readonly unknown[]) {
    return (name: string, ...rest: readonly unknown[]): void => {
      for (const [index, value] of rows.entries()) {
        const row = Array.isArray(value) ? (value as readonly unknown[]) : [value];
        const body = bodyOf(...rest) as (...args: readonly unknown[]) => unknown;
        add(titleOf(name, row, index), true, (context) => body(...row, context));
      }
    };
  }
}

export const describe = verb(addSuite as Add);
export const it = verb(addCase);
export const beforeAll = (hook: Hook): void => void current.hooks.beforeAll.push(hook);
export const beforeEach = (hook: Hook): void => void current.hooks.beforeEach.push(hook);
export const afterEach = (hook: Hook): void => void current.hooks.afterEach.unshift(hook);
export const afterAll = (hook: Hook): void => void current.hooks.afterAll.unshift(hook);

/** Lists or runs what was collected, as the command line says. */
export async function main(): Promise<void> {
  const only = process.argv.find((word) => word.startsWith('--only='))?.slice('--only='.length);
  const wanted = only === undefined ? null : new RegExp(only);
  if (process.argv.includes('--list')) {
    const names = files
      .flatMap((file) => namesOf(file, []))
      .filter(({ name }) => wanted?.test(name.join(' > ')) ?? true);
    writeSync(1, line(names));
    process.exit(0);
  }
  for (const file of files) {
    await runSuite(file, [], wanted);
    await endWhatIsAlive();
  }
  process.exit(0);
}

function namesOf(of: Suite, outer: readonly string[]): readonly { number: number; name: readonly string[] }[] {
  const path = [...outer, of.name];
  return of.children.flatMap((child) =>
    'body' in child ? [{ number: child.number, name: [...path, child.name] }] : namesOf(child, path),
  );
}

async function runSuite(of: Suite, outer: readonly Suite[], wanted: RegExp | null): Promise<void> {
  const path = [...outer, of];
  const mine = new Set(
    namesOf(
      of,
      outer.map(({ name }) => name),
    )
      .filter(({ name }) => wanted?.test(name.join(' > ')) ?? true)
      .map(({ number }) => number),
  );
  if (mine.size === 0) return;
  const failure = of.skipped
    ? null
    : await failureOf(async () => {
        for (const hook of of.hooks.beforeAll) await hook(context());
      });
  for (const child of of.children) {
    if (!('body' in child)) {
      if (failure === null) await runSuite(child, path, wanted);
      else
        for (const { number } of namesOf(
          child,
          path.map(({ name }) => name),
        ))
          report(number, failure, 0);
    } else if (mine.has(child.number)) {
      const start = performance.now();
      const outcome = child.skipped ? new Skipped('') : (failure ?? (await runCase(child, path)));
      report(child.number, outcome, performance.now() - start);
    }
  }
  if (of.skipped) return;
  const after = await failureOf(async () => {
    for (const hook of of.hooks.afterAll) await hook(context());
  });
  if (after !== null && !(after instanceof Skipped)) throw after;
}

async function runCase(one: Case, path: readonly Suite[]): Promise<Error | null> {
  const first = await failureOf(async () => {
    for (const { hooks } of path) for (const hook of hooks.beforeEach) await hook(context());
    await one.body(context());
  });
  let second: Error | null = null;
  for (const { hooks } of path.toReversed()) {
    for (const hook of hooks.afterEach) second ??= await failureOf(async () => await hook(context()));
  }
  return first ?? second;
}

function context(): Context {
  return {
    skip: (condition = true, note) => {
      if (condition === false) return;
      throw new Skipped(typeof condition === 'string' ? condition : (note ?? ''));
    },
  };
}

async function failureOf(job: () => Promise<unknown>): Promise<Error | null> {
  const { promise, reject } = Promise.withResolvers<never>();
  const limit = setTimeout(() => reject(new Error(`took longer than ${String(CASE_LIMIT_MS)} ms`)), CASE_LIMIT_MS);
  try {
    await Promise.race([job(), promise]);
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(limit);
  }
}

function report(number: number, outcome: Error | null, durationMs: number): void {
  writeSync(1, line(reportOf(number, outcome, durationMs)));
}

function reportOf(number: number, outcome: Error | null, durationMs: number): CaseReport {
  if (outcome === null) return { number, state: 'passed', text: '', durationMs };
  if (outcome instanceof Skipped) return { number, state: 'skipped', text: outcome.message, durationMs };
  const { actual, expected } = outcome as { readonly actual?: unknown; readonly expected?: unknown };
  const values =
    actual === undefined && expected === undefined ? '' : `\nexpected ${shown(expected)}\nactual ${shown(actual)}`;
  return { number, state: 'failed', text: `${outcome.stack ?? outcome.message}${values}`, durationMs };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : inspect(value, { depth: 5 });
}
