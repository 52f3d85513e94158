/** `RUN --mount=…`. */
import { posix } from 'node:path';
import { parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { goQuote } from '../text/go-quote.ts';
import { withSuggestion } from '../text/suggestion.ts';
import { csvFields } from '../text/words.ts';
import type { RunMount } from '../types.ts';
import type { Expander } from './meaning.ts';

const TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'] as const;
const SHARINGS = ['shared', 'private', 'locked'] as const;
type MountType = (typeof TYPES)[number];

/** Each key by the name it goes by here. */
const KEYS: Readonly<Record<string, string>> = {
  type: 'type',
  from: 'from',
  source: 'source',
  src: 'source',
  target: 'target',
  dst: 'target',
  destination: 'target',
  readonly: 'readonly',
  ro: 'readonly',
  readwrite: 'readwrite',
  rw: 'readwrite',
  required: 'required',
  size: 'size',
  id: 'id',
  sharing: 'sharing',
  mode: 'mode',
  uid: 'uid',
  gid: 'gid',
  env: 'env',
};
const FLAG_KEYS = new Set(['readonly', 'readwrite', 'required']);
const TRUTHS: Readonly<Record<string, boolean>> = Object.fromEntries([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
]);
const HIGHEST_ID = 0xffff_ffff;

interface Draft {
  type: MountType;
  from: string;
  source: string;
  target: string;
  id: string;
  readOnly: boolean | null;
  required: boolean;
  sizeBytes: number | null;
  sharing: (typeof SHARINGS)[number] | null;
  mode: number | null;
  uid: number | null;
  gid: number | null;
  env: string | null;
}

/** Stages or images that a mount names. InvalidArgumentError where a variable stands for one. */
export function mountSources(text: string): readonly string[] {
  return csvFields(text).flatMap((field) => {
    const [key, value] = keyAndValue(field);
    if (key !== 'from' || value === null || value === '') return [];
    if (/\$./.test(value)) {
      throw new InvalidArgumentError("'from' doesn't support variable expansion, define alias stage instead");
    }
    return [value];
  });
}

/** `agents`: how many ssh mounts came before it. InvalidArgumentError in BuildKit's words. */
export function readMount(text: string, expand: Expander, agents: number): RunMount {
  const draft: Draft = {
    type: 'bind',
    from: '',
    source: '',
    target: '',
    id: '',
    readOnly: null,
    required: false,
    sizeBytes: null,
    sharing: null,
    mode: null,
    uid: null,
    gid: null,
    env: null,
  };
  for (const field of csvFields(text)) readField(draft, field, expand);
  checkDraft(draft);
  return mountOf(draft, agents);
}

function readField(draft: Draft, field: string, expand: Expander): void {
  const [written, given] = keyAndValue(field);
  const key = Object.hasOwn(KEYS, written) ? (KEYS[written] ?? '') : '';
  if (given === null && !FLAG_KEYS.has(key)) {
    throw new InvalidArgumentError(`invalid field '${field}' must be a key=value pair`);
  }
  if (key === '') {
    throw new InvalidArgumentError(
      withSuggestion(`unexpected key '${written}' in '${field}'`, written, Object.keys(KEYS)),
    );
  }
  const value = given === null ? 'true' : expand(given);
  switch (key) {
    case 'type':
      draft.type = oneOf(TYPES, value, 'mount type');
      return;
    case 'sharing':
      draft.sharing = oneOf(SHARINGS, value, 'sharing value');
      return;
    case 'from':
    case 'source':
    case 'target':
    case 'id':
    case 'env':
      draft[key] = value;
      return;
    case 'readonly':
      draft.readOnly = truth(written, value);
      return;
    case 'readwrite':
      draft.readOnly = !truth(written, value);
      return;
    case 'required':
      if (draft.type !== 'secret' && draft.type !== 'ssh') throw unexpectedFor(written, draft.type);
      draft.required = truth(written, value);
      return;
    case 'size':
      if (draft.type !== 'tmpfs') throw unexpectedFor(written, draft.type);
      draft.sizeBytes = parseByteSize(value) ?? refuse(`invalid value for ${written}: ${value}`);
      return;
    case 'mode':
      draft.mode = numeric(value, 8) ?? refuse(`invalid value ${value} for mode`);
      return;
    case 'uid':
    case 'gid':
      draft[key] = numeric(value, 10) ?? refuse(`invalid value ${value} for ${key}`);
  }
}

function checkDraft({ type, from, source, target, id, sharing, ...draft }: Draft): void {
  if (type === 'bind' || type === 'tmpfs') {
    for (const key of ['mode', 'uid', 'gid'] as const) {
      if (draft[key] !== null) refuse(`${key} not allowed for ${goQuote(type)} type mounts`);
    }
  }
  if (type === 'secret') {
    if (from !== '') refuse('secret mount should not have a from');
    if (sharing !== null) refuse('secret mount should not define sharing');
    if (source === '' && target === '' && id === '') refuse('invalid secret mount. one of source, target required');
    if (source !== '' && id !== '') refuse("both source and id can't be set");
  }
  if (sharing !== null && type !== 'cache') refuse(`invalid cache sharing set for ${type} mount`);
  if (type !== 'secret' && type !== 'ssh' && posix.resolve('/', target) === '/' && target.startsWith('/')) {
    refuse(`invalid mount target ${goQuote(target)}`);
  }
}

function mountOf(draft: Draft, agents: number): RunMount {
  const { target, source } = draft;
  const from = draft.from === '' ? null : draft.from;
  const owner = { uid: draft.uid ?? 0, gid: draft.gid ?? 0 };
  switch (draft.type) {
    case 'bind':
      return { kind: 'bind', from, source, target, readWrite: draft.readOnly === false };
    case 'tmpfs':
      return { kind: 'tmpfs', target, sizeBytes: draft.sizeBytes === 0 ? null : draft.sizeBytes };
    case 'cache':
      return {
        kind: 'cache',
        id: draft.id === '' ? posix.normalize(target) : draft.id,
        from,
        source,
        target,
        readOnly: draft.readOnly === true,
        sharing: draft.sharing ?? 'shared',
        mode: draft.mode ?? 0o755,
        ...owner,
      };
    case 'secret': {
      const id = draft.id || source || posix.basename(target);
      const place = target === '' && draft.env === null ? `/run/secrets/${posix.basename(id)}` : target;
      const mode = draft.mode ?? 0o400;
      const { env, required } = draft;
      return { kind: 'secret', id, target: place === '' ? null : place, env, required, mode, ...owner };
    }
    case 'ssh': {
      const place = target === '' ? `/run/buildkit/ssh_agent.${String(agents)}` : target;
      const { required } = draft;
      return {
        kind: 'ssh',
        id: draft.id || 'default',
        target: place,
        env: null,
        required,
        mode: draft.mode ?? 0o600,
        ...owner,
      };
    }
  }
}

function keyAndValue(field: string): readonly [key: string, value: string | null] {
  const equals = field.indexOf('=');
  if (equals < 0) return [field.toLowerCase(), null];
  return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
}

function oneOf<T extends string>(all: readonly T[], value: string, what: string): T {
  const found = all.find((item) => item === value.toLowerCase());
  return found ?? refuse(withSuggestion(`unsupported ${what} ${goQuote(value)}`, value, all));
}

function truth(key: string, value: string): boolean {
  return (Object.hasOwn(TRUTHS, value) ? TRUTHS[value] : undefined) ?? refuse(`invalid value for ${key}: ${value}`);
}

function numeric(value: string, base: 8 | 10): number | null {
  if (!(base === 8 ? /^[0-7]+$/ : /^\d+$/).test(value)) return null;
  const number = Number.parseInt(value, base);
  return number > HIGHEST_ID ? null : number;
}

function unexpectedFor(key: string, type: string): InvalidArgumentError {
  return new InvalidArgumentError(`unexpected key '${key}' for mount type '${type}'`);
}

function refuse(message: string): never {
  throw new InvalidArgumentError(message);
}
