/**
 * ARG: what a build is given, and where it is seen.
 *
 * Global ones (before the first FROM) are for FROM lines; a stage sees one only where it declares it again, and then
 * `--build-arg` beats the line's default, which beats the global value. A stage on another one has its arguments, as with
 * BuildKit. ENV beats them all. Proxy variables need no ARG,
 * and leave no trace in the history unless they have one. The platforms' (`TARGETARCH` and its family) are global.
 */
import type { Platform } from '../oci/image-spec.ts';
import { platformText } from '../oci/platform.ts';
import type { Environment } from './text/expansion.ts';
import type { Instruction, ParsedDockerfile } from './types.ts';

type ArgInstruction = Instruction & { readonly kind: 'arg' };

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** Said to the builder, not to the Dockerfile. */
const FOR_THE_BUILDER = new Set(['SOURCE_DATE_EPOCH', 'BUILDKIT_INLINE_CACHE', 'BUILDKIT_SYNTAX']);

export interface ArgumentFacts {
  /** `--build-arg`; null: named without a value. */
  readonly given: ReadonlyMap<string, string | null>;
  /** Of this host, and of the image. */
  readonly buildPlatform: Platform;
  readonly targetPlatform: Platform;
  /** `--target`; '': none. */
  readonly target: string;
}

/** The arguments of one build. */
export class BuildArguments {
  readonly #parsed: ParsedDockerfile;
  readonly #given: ReadonlyMap<string, string>;
  readonly #predefined: Environment;
  readonly #globals = new Map<string, string>();
  /** By triggers of base images. */
  readonly #alsoDeclared = new Set<string>();

  /** InvalidArgumentError when a global ARG cannot be expanded. */
  constructor(parsed: ParsedDockerfile, facts: ArgumentFacts) {
    this.#parsed = parsed;
    this.#given = new Map([...facts.given].flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
    this.#predefined = predefined(facts);
    for (const [name, value] of this.#predefined) this.#globals.set(name, value);
    for (const name of PROXIES) this.#setGlobal(name, null);
    for (const instruction of parsed.globalArgs) {
      const expanded = instruction.expand(this.#globals);
      if (expanded.kind !== 'arg') continue;
      for (const [name, value] of expanded.pairs) this.#setGlobal(name, value);
    }
  }

  /** For FROM lines. */
  get globals(): Environment {
    return this.#globals;
  }

  given(name: string): string | null {
    return this.#given.get(name) ?? null;
  }

  /** What the file does not say, but an image that it stands on. */
  noteDeclared(names: readonly string[]): void {
    for (const name of names) this.#alsoDeclared.add(name);
  }

  #setGlobal(name: string, fallback: string | null): void {
    const value = this.#given.get(name) ?? fallback;
    if (value !== null) this.#globals.set(name, value);
  }

  /** `[Warning] One or more build-args [X] were not consumed`; null: all were. */
  unusedWarning(): string | null {
    const { globalArgs, stages } = this.#parsed;
    const all = [globalArgs, ...stages.map(({ instructions }) => instructions)].flat();
    const declared = new Set([...this.#alsoDeclared, ...all.flatMap(({ declares }) => declares)]);
    const unused = [...this.#given.keys()].filter(
      (name) =>
        !declared.has(name) && !PROXIES.includes(name) && !FOR_THE_BUILDER.has(name) && !this.#predefined.has(name),
    );
    if (unused.length === 0) return null;
    return `[Warning] One or more build-args [${unused.sort().join(' ')}] were not consumed`;
  }
}

/** Names of ARG instructions with their defaults; null: without one. */
export type DeclaredArgs = ReadonlyMap<string, string | null>;

/** The arguments that one stage has declared so far. */
export class StageArguments {
  readonly #build: BuildArguments;
  readonly #declared = new Map<string, string | null>();

  constructor(build: BuildArguments) {
    this.#build = build;
  }

  declare({ pairs }: ArgInstruction): void {
    for (const [name, value] of pairs) this.#declared.set(name, value);
    this.#build.noteDeclared(pairs.map(([name]) => name));
  }

  get declared(): DeclaredArgs {
    return this.#declared;
  }

  /** What the stage below has declared. */
  inherit(declared: DeclaredArgs): void {
    for (const [name, value] of declared) this.#declared.set(name, value);
  }

  /** What `expand` needs: the stage's ENV, and its ARG where ENV has no such name. */
  environment(env: readonly string[]): Environment {
    return new Map([...this.#values(), ...entriesOf(env)]);
  }

  /** What a RUN sees beside ENV, as `name=value`, sorted. */
  forRun(env: readonly string[]): readonly string[] {
    const own = new Map(entriesOf(env));
    return [...this.#values()].flatMap(([name, value]) => (own.has(name) ? [] : [`${name}=${value}`])).sort();
  }

  /** A RUN's words as the history has them: `|1 A=b /bin/sh -c …`. */
  recorded(command: readonly string[], env: readonly string[]): readonly string[] {
    const seen = this.forRun(env);
    if (seen.length === 0) return command;
    const kept = seen.filter((entry) => {
      const name = entry.slice(0, entry.indexOf('='));
      return this.#declared.has(name) || !PROXIES.includes(name);
    });
    return [`|${String(kept.length)}`, ...kept, ...command];
  }

  #values(): ReadonlyMap<string, string> {
    const names = [...PROXIES, ...this.#declared.keys()];
    return valuesOf(names, (name) => {
      // Without a default of its own a stage's ARG takes the global value; a proxy needs no ARG.
      return (
        this.#build.given(name) ??
        this.#declared.get(name) ??
        (this.#declared.has(name) ? (this.#build.globals.get(name) ?? null) : null)
      );
    });
  }
}

function predefined({ given, buildPlatform, targetPlatform, target }: ArgumentFacts): Environment {
  const values = new Map([...platformNames('BUILD', buildPlatform), ...platformNames('TARGET', targetPlatform)]);
  values.set('TARGETSTAGE', target === '' ? 'default' : target);
  for (const name of values.keys()) values.set(name, given.get(name) ?? values.get(name) ?? '');
  return values;
}

function platformNames(prefix: string, platform: Platform): readonly (readonly [string, string])[] {
  return [
    [`${prefix}PLATFORM`, platformText(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform['os.version'] ?? ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
}

function valuesOf(names: readonly string[], valueOf: (name: string) => string | null): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const name of names) {
    const value = valueOf(name);
    if (value !== null) values.set(name, value);
  }
  return values;
}

/** Names and values of `name=value`. */
export function entriesOf(env: readonly string[]): readonly (readonly [string, string])[] {
  return env.map((entry) => {
    const equals = entry.indexOf('=');
    return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
  });
}
