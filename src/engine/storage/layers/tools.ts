import type { Codecs } from '../../kernel/codecs.ts';
import type { FileCalls } from '../../kernel/files.ts';
import type { ViewCalls } from '../../kernel/tree-views.ts';

/** What a layer worker works with. */
export interface LayerTools {
  readonly files: FileCalls;
  readonly codecs: Codecs;
  readonly views: ViewCalls;
}
