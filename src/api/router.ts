import type { Context } from './context.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS';

/** One row of the table of routes. */
export interface Route {
  readonly method: Method;
  /** `/containers/{id}/json`; `{name*}` takes slashes too (image names). */
  readonly pattern: string;
  readonly handle: (context: Context) => Promise<void> | void;
  /** Takes its connection over: the client's half-close is the end of stdin and not its departure. */
  readonly takesOver?: boolean;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface Compiled {
  readonly route: Route;
  readonly regexp: RegExp;
  readonly names: readonly string[];
}

/** Finds the route for a method and path (without version). Fixed paths win over patterns; then table order. */
export class Router {
  readonly #fixed = new Map<string, Route>();
  readonly #patterns = new Map<string, Compiled[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      if (!route.pattern.includes('{')) {
        this.#fixed.set(`${route.method} ${route.pattern}`, route);
        continue;
      }
      const key = bucketOf(route.method, route.pattern);
      const bucket = this.#patterns.get(key) ?? [];
      bucket.push(compile(route));
      this.#patterns.set(key, bucket);
    }
  }

  find(method: string, path: string): Match | null {
    const fixed = this.#fixed.get(`${method} ${path}`);
    if (fixed !== undefined) return { route: fixed, params: {} };
    for (const { route, regexp, names } of this.#patterns.get(bucketOf(method, path)) ?? []) {
      const found = regexp.exec(path);
      if (found === null) continue;
      const params: Record<string, string> = {};
      for (const [i, name] of names.entries()) params[name] = decode(found[i + 1] ?? '');
      return { route, params };
    }
    return null;
  }
}

/** Routes are kept by method and first word of the path. */
function bucketOf(method: string, path: string): string {
  return `${method} ${path.split('/', 2)[1] ?? ''}`;
}

function compile(route: Route): Compiled {
  const names: string[] = [];
  const source = route.pattern.replace(/\{(\w+)(\*?)\}|[.]/g, (text, name: string | undefined, star: string) => {
    if (name === undefined) return `\\${text}`;
    names.push(name);
    // As in dockerd's routes an image's name may be empty: the handler says what is wrong with it.
    return star === '*' ? '(.*)' : '([^/]+)';
  });
  return { route, names, regexp: new RegExp(`^${source}$`) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
