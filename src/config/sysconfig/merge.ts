import { effectiveVariables, readDocument, type SysconfigDocument } from './document.ts';
import { lineEndOf, refuseUnsound, verify } from './edit.ts';
import { commentLines, metadataEntries, type MetadataEntry, type MetadataKeyword } from './metadata.ts';
import type { AnySegment, AssignmentSegment } from './scanner.ts';

/**
 * A package's template brought into the file that is there, as SUSE's fillup does it at each update:
 *
 *   values      the user's stay, to the byte; help texts and the user's comments as well
 *   new         variables that the file lacks are added at its end with their whole comment block
 *   metadata    `## Keyword:` lines of the template replace those of the same variable, where they stand
 *   retired     a keyword that the template no longer wants is given there as `## ServiceRestart: ""`
 *
 * Beyond fillup: blanks before a colon are understood (SUSE's own docker template has them), a keyword that stands twice
 * is reduced to one, values over several lines stay whole, and a variable written `export KEY=…` is not hidden behind an
 * empty one. Merging again changes nothing.
 *
 * Each block of the template stands for itself (Path and actions named): what it inherits there, it would inherit from
 * another variable here. Throws InvalidArgumentError for a file that must be mended by hand first.
 */
export function mergeTemplate(template: Uint8Array, existing: Uint8Array | null): Buffer {
  if (existing === null || existing.length === 0) return Buffer.from(template);
  const target = readDocument(existing);
  refuseUnsound(target);
  const wanted = blocksOf(readDocument(template));
  const lineEnd = lineEndOf(target.text);
  const present = new Set(target.segments.flatMap((segment) => (segment.kind === 'assignment' ? nameOf(segment) : [])));
  const added = wanted.filter(({ name }) => !present.has(name));
  const whole = readDocument(Buffer.from(append(target.text, added, lineEnd), 'latin1'));
  const merged = Buffer.from(
    refreshMetadata(whole, new Map(wanted.map((block) => [block.name, block])), lineEnd),
    'latin1',
  );
  const values = effectiveVariables(readDocument(template));
  verify(target, readDocument(merged), new Map(added.map(({ name }) => [name, values.get(name)?.value ?? ''])));
  return merged;
}

/** A variable with the comments before it. */
interface Block {
  readonly name: string;
  /** From the first comment on, line ends as in its file. */
  readonly text: string;
  /** The lines of each keyword, without line ends. */
  readonly metadata: ReadonlyMap<MetadataKeyword, readonly string[]>;
}

function blocksOf(document: SysconfigDocument): readonly Block[] {
  const blocks: Block[] = [];
  let before: AnySegment[] = [];
  for (const segment of document.segments) {
    if (segment.kind !== 'assignment') {
      if (segment.kind === 'comment' || before.length > 0) before.push(segment);
      continue;
    }
    const comments = before.filter(({ kind }) => kind === 'comment');
    const lines = comments.map(({ start, textEnd }) => document.text.slice(start, textEnd));
    blocks.push({
      name: segment.name,
      text: document.text.slice(before[0]?.start ?? segment.start, segment.end),
      metadata: new Map(
        placedEntries(document.text, comments).map(({ keyword, at, lines: count }) => [
          keyword,
          lines.slice(at, at + count),
        ]),
      ),
    });
    before = [];
  }
  return blocks;
}

/** A metadata entry with the index of its first comment. */
interface PlacedEntry extends MetadataEntry {
  readonly at: number;
}

function placedEntries(text: string, comments: readonly AnySegment[]): readonly PlacedEntry[] {
  return metadataEntries(commentLines(text, comments)).map((entry) => ({
    ...entry,
    at: comments.findIndex(({ line }) => line === entry.line),
  }));
}

function refreshMetadata(target: SysconfigDocument, wanted: ReadonlyMap<string, Block>, lineEnd: string): string {
  let result = '';
  let before: AnySegment[] = [];
  for (const segment of target.segments) {
    before.push(segment);
    if (segment.kind !== 'assignment') continue;
    const block = wanted.get(segment.name);
    result += block === undefined ? textOf(target.text, before) : refreshBlock(target.text, before, block, lineEnd);
    before = [];
  }
  return result + textOf(target.text, before);
}

/** The block's own text with the template's metadata in it: each where it stood, new ones behind the last. */
function refreshBlock(text: string, segments: readonly AnySegment[], block: Block, lineEnd: string): string {
  const comments = segments.filter(({ kind }) => kind === 'comment');
  const entries = placedEntries(text, comments);
  if (comments.length === 0 && block.metadata.size > 0) {
    // A variable without a comment has the metadata of the one before it, as somebody arranged them.
    return textOf(text, segments);
  }
  const replaced = new Map<AnySegment, string>();
  const seen = new Set<MetadataKeyword>();
  // Of several the last is YaST's, and what stands next to the variable.
  for (const { keyword, at, lines } of entries.toReversed()) {
    const fresh = block.metadata.get(keyword);
    if (fresh === undefined) continue;
    for (const comment of comments.slice(at, at + lines)) replaced.set(comment, '');
    const first = comments[at];
    if (first !== undefined && !seen.has(keyword)) replaced.set(first, fresh.map((line) => line + lineEnd).join(''));
    seen.add(keyword);
  }
  const fresh = [...block.metadata].filter(([keyword]) => !seen.has(keyword));
  const added = fresh.flatMap(([, lines]) => lines.map((line) => line + lineEnd)).join('');
  const last = entries.at(-1);
  const anchor = last === undefined ? undefined : comments[last.at + last.lines - 1];
  return segments
    .map((segment) => {
      const own = replaced.get(segment) ?? text.slice(segment.start, segment.end);
      if (segment === anchor) return own + added;
      return anchor === undefined && segment === comments[0] ? added + own : own;
    })
    .join('');
}

function textOf(text: string, segments: readonly AnySegment[]): string {
  return text.slice(segments[0]?.start ?? 0, segments.at(-1)?.end ?? 0);
}

/** `export KEY=` counts as KEY: it is somebody's value, if not systemd's. */
function nameOf({ name }: AssignmentSegment): string {
  return /^export[ \t]+(\S+)$/.exec(name)?.[1] ?? name;
}

function append(text: string, blocks: readonly Block[], lineEnd: string): string {
  let result = text;
  for (const block of blocks) {
    if (!/[\r\n]$/.test(result)) result += lineEnd;
    if (!result.endsWith(lineEnd + lineEnd)) result += lineEnd;
    const lines = block.text.replace(/(?:\r\n|\r|\n)$/, '').split(/\r\n|\r|\n/);
    result += lines.map((line) => line + lineEnd).join('');
  }
  return result;
}
