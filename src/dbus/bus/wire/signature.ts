/** Type signatures, parsed once each. */
import type { SignatureNode } from 'dbus-next/lib/signature.js';
import { parseSignature as parse } from 'dbus-next/lib/signature.js';

export type { SignatureNode };

/** The bus's own limits. */
const MAX_SIGNATURE_LENGTH = 255;
const MAX_DEPTH = 32;
/** Signatures come from the XML and from clients' variants; the latter must not fill the memory. */
const MAX_CACHED = 1000;
const BASIC = 'ybnqiuxtdsogh';

const cache = new Map<string, readonly SignatureNode[]>();

/** The complete types of a signature; throws RangeError for what the specification forbids. */
export function parseSignature(signature: string): readonly SignatureNode[] {
  const known = cache.get(signature);
  if (known !== undefined) return known;
  if (signature.length > MAX_SIGNATURE_LENGTH) throw new RangeError('the signature is longer than 255 characters');
  const nodes = parse(signature);
  for (const node of nodes) check(node, signature, 0, false);
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(signature, nodes);
  return nodes;
}

/** The one complete type of a variant or a property. */
export function parseSingle(signature: string): SignatureNode {
  const [node, ...rest] = parseSignature(signature);
  if (node === undefined || rest.length > 0) throw new RangeError(`'${signature}' is not one complete type`);
  return node;
}

function check(node: SignatureNode, signature: string, depth: number, inArray: boolean): void {
  const fail = (): never => {
    throw new RangeError(`'${signature}' is not a signature`);
  };
  if (depth > MAX_DEPTH) fail();
  const [first] = node.child;
  switch (node.type) {
    case 'a':
    case '(':
      if (first === undefined) fail();
      break;
    case '{':
      if (!inArray || node.child.length !== 2 || !BASIC.includes(first?.type ?? '-')) fail();
      break;
    default:
      if (!BASIC.includes(node.type) && node.type !== 'v') fail();
  }
  for (const child of node.child) check(child, signature, depth + 1, node.type === 'a');
}

/** The type of an array's elements. */
export function elementOf({ type, child: [element] }: SignatureNode): SignatureNode {
  if (element === undefined) throw new RangeError(`'${type}' has no elements`);
  return element;
}

/** Alignment of a type's values, by the first character of its signature. */
export function alignmentOf(type: string): 1 | 2 | 4 | 8 {
  switch (type) {
    case 'y':
    case 'g':
    case 'v':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
      return 8;
    default:
      return 4;
  }
}
