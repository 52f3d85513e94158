/**
 * Introspection documents: the part of XML that they use, strictly. Anything else (an unknown element, an unquoted
 * attribute, an open tag) throws SyntaxError with its line, so that a slip in a golden file fails the first test.
 */
import { parseSignature, parseSingle } from './wire/signature.ts';

export interface ArgumentInfo {
  readonly name: string;
  readonly type: string;
}

export interface MethodInfo {
  readonly name: string;
  readonly in: readonly ArgumentInfo[];
  readonly out: readonly ArgumentInfo[];
  readonly inSignature: string;
  readonly outSignature: string;
  readonly annotations: ReadonlyMap<string, string>;
}

export interface SignalInfo {
  readonly name: string;
  readonly args: readonly ArgumentInfo[];
  readonly signature: string;
}

/** `EmitsChangedSignal`: whether and how a change is announced. */
export type Announcement = 'true' | 'invalidates' | 'const' | 'false';

export interface PropertyInfo {
  readonly name: string;
  readonly type: string;
  readonly access: 'read' | 'readwrite';
  readonly announcement: Announcement;
}

export interface InterfaceInfo {
  readonly name: string;
  /** The `<interface>` element as it is served: without comments. */
  readonly text: string;
  readonly methods: ReadonlyMap<string, MethodInfo>;
  readonly signals: ReadonlyMap<string, SignalInfo>;
  /** In the document's order. */
  readonly properties: ReadonlyMap<string, PropertyInfo>;
}

const EMITS_CHANGED = 'org.freedesktop.DBus.Property.EmitsChangedSignal';

interface Element {
  readonly tag: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  readonly start: number;
  end: number;
}

/** The interfaces of a document, in order. */
export function parseIntrospection(document: string): readonly InterfaceInfo[] {
  const text = document.replace(/[ \t]*<!--[\s\S]*?-->[ \t]*\n?/g, '').replace(/^\s*<!DOCTYPE[^>]*>/, '');
  const root = parseElements(text);
  if (root.tag !== 'node') throw new SyntaxError(`the document is <${root.tag}>, not <node>`);
  return root.children.filter(({ tag }) => tag === 'interface').map((element) => interfaceOf(element, text));
}

/** What may lie in what, and the attributes each may have (`!`: must). */
const GRAMMAR: Readonly<
  Record<string, { readonly within: readonly string[]; readonly attributes: readonly string[] }>
> = {
  node: { within: ['', 'node'], attributes: ['name'] },
  interface: { within: ['node'], attributes: ['name!'] },
  method: { within: ['interface'], attributes: ['name!'] },
  signal: { within: ['interface'], attributes: ['name!'] },
  property: { within: ['interface'], attributes: ['name!', 'type!', 'access!'] },
  arg: { within: ['method', 'signal'], attributes: ['name!', 'type!', 'direction'] },
  annotation: { within: ['interface', 'method', 'signal', 'property', 'arg'], attributes: ['name!', 'value!'] },
};

const TOKEN = /\s*(?:<\/([a-z]+)\s*>|<([a-z]+)((?:\s+[A-Za-z:]+="[^"<]*")*)\s*(\/?)>)/y;
const ATTRIBUTE = /([A-Za-z:]+)="([^"]*)"/g;

function parseElements(text: string): Element {
  const open: Element[] = [];
  let root: Element | null = null;
  TOKEN.lastIndex = 0;
  const fail = (at: number, reason: string): never => {
    throw new SyntaxError(`line ${String(text.slice(0, at).split('\n').length)}: ${reason}`);
  };
  for (let at = 0; text.slice(at).trim() !== ''; at = TOKEN.lastIndex) {
    const [whole, closing, tag, attributes = '', isEmpty] = TOKEN.exec(text) ?? fail(at, 'no element here');
    const parent = open.at(-1);
    if (closing !== undefined) {
      if (parent?.tag !== closing) fail(at, `</${closing}> closes nothing`);
      const closed = open.pop();
      if (closed !== undefined) closed.end = TOKEN.lastIndex;
      continue;
    }
    if (tag === undefined || (root !== null && parent === undefined)) return fail(at, 'there is more than one root');
    const start = at + whole.length - whole.trimStart().length;
    const element: Element = {
      tag,
      attributes: attributesOf(tag, attributes, parent?.tag ?? '', start, fail),
      children: [],
      start,
      end: TOKEN.lastIndex,
    };
    parent?.children.push(element);
    root ??= element;
    if (isEmpty !== '/') open.push(element);
  }
  if (root === null || open.length > 0) return fail(text.length, 'the document ends too early');
  return root;
}

function attributesOf(
  tag: string,
  text: string,
  parent: string,
  at: number,
  fail: (at: number, reason: string) => never,
): ReadonlyMap<string, string> {
  const rule = GRAMMAR[tag];
  if (!rule?.within.includes(parent)) return fail(at, `<${tag}> has no place in <${parent}>`);
  const attributes = new Map(
    [...text.matchAll(ATTRIBUTE)].map(([, name = '', value = '']) => [name, unescapeXml(value)]),
  );
  const names = rule.attributes.map((name) => name.replace('!', ''));
  for (const name of attributes.keys()) if (!names.includes(name)) fail(at, `<${tag}> has no attribute ${name}`);
  for (const name of rule.attributes) {
    if (name.endsWith('!') && !attributes.has(name.slice(0, -1))) fail(at, `<${tag}> lacks ${name.slice(0, -1)}`);
  }
  return attributes;
}

function unescapeXml(value: string): string {
  const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return value.replace(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);
}

function interfaceOf(element: Element, text: string): InterfaceInfo {
  const named = <T extends { readonly name: string }>(tag: string, make: (child: Element) => T): Map<string, T> => {
    const made = element.children.filter((child) => child.tag === tag).map(make);
    const byName = new Map(made.map((info) => [info.name, info]));
    if (byName.size !== made.length) throw new SyntaxError(`a ${tag} of ${nameOf(element)} is there twice`);
    return byName;
  };
  return {
    name: nameOf(element),
    text: text.slice(element.start, element.end),
    methods: named('method', methodOf),
    signals: named('signal', signalOf),
    properties: named('property', propertyOf),
  };
}

function methodOf(element: Element): MethodInfo {
  const args = element.children.filter(({ tag }) => tag === 'arg');
  const inside = args.filter((arg) => arg.attributes.get('direction') !== 'out').map(argumentOf);
  const outside = args.filter((arg) => arg.attributes.get('direction') === 'out').map(argumentOf);
  return {
    name: nameOf(element),
    in: inside,
    out: outside,
    inSignature: joined(inside),
    outSignature: joined(outside),
    annotations: annotationsOf(element),
  };
}

function signalOf(element: Element): SignalInfo {
  const args = element.children.filter(({ tag }) => tag === 'arg').map(argumentOf);
  return { name: nameOf(element), args, signature: joined(args) };
}

function propertyOf(element: Element): PropertyInfo {
  const type = element.attributes.get('type') ?? '';
  parseSingle(type);
  const access = element.attributes.get('access');
  if (access !== 'read' && access !== 'readwrite')
    throw new SyntaxError(`access of ${nameOf(element)}: ${String(access)}`);
  return {
    name: nameOf(element),
    type,
    access,
    announcement: announcementOf(annotationsOf(element).get(EMITS_CHANGED)),
  };
}

function announcementOf(value = 'true'): Announcement {
  if (value === 'true' || value === 'invalidates' || value === 'const' || value === 'false') return value;
  throw new SyntaxError(`${EMITS_CHANGED} is "${value}"`);
}

function argumentOf(element: Element): ArgumentInfo {
  const type = element.attributes.get('type') ?? '';
  parseSingle(type);
  return { name: nameOf(element), type };
}

function annotationsOf(element: Element): ReadonlyMap<string, string> {
  return new Map(
    element.children
      .filter(({ tag }) => tag === 'annotation')
      .map(({ attributes }) => [attributes.get('name') ?? '', attributes.get('value') ?? '']),
  );
}

function nameOf(element: Element): string {
  return element.attributes.get('name') ?? '';
}

function joined(args: readonly ArgumentInfo[]): string {
  const signature = args.map(({ type }) => type).join('');
  parseSignature(signature);
  return signature;
}
