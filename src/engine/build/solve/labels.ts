import type { ParsedInstruction, SourceLine } from '../../dockerfile/types.ts';

/** `--label`: a LABEL each at the end of the target, by name. */
export function labelInstructions(
  labels: ReadonlyMap<string, string>,
  { file, end }: SourceLine,
): readonly ParsedInstruction[] {
  const pairs = [...labels].sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.map(([name, value]) => {
    const line = { file, start: end, end, text: `LABEL ${name}=${value}` };
    return {
      kind: 'label',
      line,
      needs: [],
      declares: [],
      expand: () => ({ line, kind: 'label', pairs: [[name, value]] }),
    };
  });
}
