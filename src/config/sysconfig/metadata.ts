import type { AnySegment } from './scanner.ts';

/**
 * What YaST's sysconfig editor reads in the comments before a variable (yast-sysconfig: doc/metadata.txt,
 * parse_configs.pl, Sysconfig.rb):
 *
 *   ## Keyword : value     blanks before the colon are allowed; a backslash at the end goes on in the next `##` line
 *   # text                 help
 *   ### text               nobody's
 */
export interface VariableMetadata {
  /** Place in YaST's tree, parts separated by slashes; holds for the variables that follow as well. */
  readonly path: string;
  /** Of the path, not of the variable. */
  readonly description: string;
  /** `string` where nothing is said. */
  readonly type: string;
  /** Without its quotes; null where nothing is said. */
  readonly default: string | null;
  readonly help: string;
  readonly actions: MetadataActions;
}

/** What YaST does after a change; inherited from variable to variable until a block names any action. */
export interface MetadataActions {
  readonly preSaveCommand: string;
  readonly serviceReload: readonly string[];
  readonly serviceRestart: readonly string[];
  readonly command: string;
}

export const METADATA_KEYWORDS = [
  'Path',
  'Description',
  'Type',
  'Default',
  'Config',
  'ServiceReload',
  'ServiceRestart',
  'Command',
  'PreSaveCommand',
] as const;

export type MetadataKeyword = (typeof METADATA_KEYWORDS)[number];

const ACTION_KEYWORDS: ReadonlySet<MetadataKeyword> = new Set([
  'Config',
  'ServiceReload',
  'ServiceRestart',
  'Command',
  'PreSaveCommand',
]);

export const NO_ACTIONS: MetadataActions = { preSaveCommand: '', serviceReload: [], serviceRestart: [], command: '' };

/** What a variable has about which nothing is said. */
export const NO_METADATA: VariableMetadata = {
  path: '',
  description: '',
  type: 'string',
  default: null,
  help: '',
  actions: NO_ACTIONS,
};

/** One `## Keyword: value`, its lines joined. */
export interface MetadataEntry {
  readonly keyword: MetadataKeyword;
  readonly value: string;
  readonly line: number;
  /** How many comment lines it takes. */
  readonly lines: number;
}

/** The state that goes from one variable of a file to the next. */
export interface MetadataReader {
  /** The metadata of a variable, from what stands between it and the one before. Comments are UTF-8 text. */
  next(comments: readonly CommentLine[]): VariableMetadata;
}

export interface CommentLine {
  readonly text: string;
  readonly line: number;
}

export function createMetadataReader(): MetadataReader {
  let last = NO_METADATA;
  const descriptions = new Map<string, string>();
  return {
    next(comments) {
      const entries = metadataEntries(comments);
      const valueOf = (keyword: MetadataKeyword): string | undefined =>
        entries.findLast((entry) => entry.keyword === keyword)?.value;
      let { path } = last;
      for (const { keyword, value } of entries) {
        if (keyword === 'Path') path = value;
        if (keyword === 'Description') descriptions.set(path, value);
      }
      // A variable without any comment is one more of the kind before it.
      const isAlone = comments.length > 0;
      last = {
        path,
        description: descriptions.get(path) ?? '',
        type: isAlone ? (valueOf('Type') ?? 'string') : last.type,
        default: isAlone ? unquote(valueOf('Default') ?? null) : last.default,
        help: isAlone ? helpOf(comments) : last.help,
        actions: actionsOf(entries, last.actions),
      };
      return last;
    },
  };
}

/** Every `## Keyword: value` of the comment lines, in order. */
export function metadataEntries(comments: readonly CommentLine[]): readonly MetadataEntry[] {
  const entries: MetadataEntry[] = [];
  for (let index = 0; index < comments.length; index += 1) {
    const { text, line } = comments[index] ?? { text: '', line: 0 };
    const match = KEYWORD_LINE.exec(text);
    if (match === null) continue;
    let value = match[2] ?? '';
    let lines = 1;
    while (value.endsWith('\\')) {
      const following = /^[ \t]*##(?!#)(.*)$/s.exec(comments[index + 1]?.text ?? '');
      value = value.slice(0, -1) + (following?.[1] ?? '').trimEnd();
      if (following === null) break;
      index += 1;
      lines += 1;
    }
    entries.push({ keyword: match[1] as MetadataKeyword, value: value.trim(), line, lines });
  }
  return entries;
}

/** The comment lines among segments, as text; an empty line counts as nothing. */
export function commentLines(text: string, segments: readonly AnySegment[]): readonly CommentLine[] {
  return segments
    .filter(({ kind }) => kind === 'comment')
    .map(({ start, textEnd, line }) => ({ text: decodeBytes(text.slice(start, textEnd)).trim(), line }));
}

/** Bytes as UTF-8 text. */
export function decodeBytes(bytes: string): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** True for what is the same in every encoding. */
export function isAscii(bytes: string): boolean {
  return !/[\u0080-\uffff]/.test(bytes);
}

const KEYWORD_LINE = new RegExp(`^##[ \\t]*(${METADATA_KEYWORDS.join('|')})[ \\t]*:(.*)$`, 's');

function helpOf(comments: readonly CommentLine[]): string {
  return comments
    .filter(({ text }) => text.startsWith('#') && !text.startsWith('##'))
    .map(({ text }) => text.slice(1).replace(/^ /, ''))
    .join('\n')
    .trim();
}

function actionsOf(entries: readonly MetadataEntry[], inherited: MetadataActions): MetadataActions {
  const own = entries.filter(({ keyword }) => ACTION_KEYWORDS.has(keyword));
  if (own.length === 0) return inherited;
  const valueOf = (keyword: MetadataKeyword): string =>
    unquote(own.findLast((entry) => entry.keyword === keyword)?.value ?? '') ?? '';
  return {
    preSaveCommand: valueOf('PreSaveCommand'),
    serviceReload: servicesOf(valueOf('ServiceReload')),
    serviceRestart: servicesOf(valueOf('ServiceRestart')),
    command: valueOf('Command'),
  };
}

function servicesOf(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter((name) => name !== '');
}

function unquote(value: string | null): string | null {
  return value !== null && /^"(.*)"$/s.test(value) ? value.slice(1, -1) : value;
}
