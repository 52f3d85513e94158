/** How much of its bytes one layer has done. */
export interface LayerBytes {
  readonly done: number;
  readonly total: number;
}

/** syslog's `info`: the severity of what a job tells in words. */
export const LOG_INFO = 6;

/** The phase of this interface that the engine's (Docker's) words mean; undefined for words of no phase. */
export function phaseOf(phases: readonly (readonly [RegExp, string])[], status: string): string | undefined {
  return phases.find(([text]) => text.test(status))?.[1];
}

/** A job's bytes: those of its layers together. */
export function sumOfLayers(layers: readonly LayerBytes[]): LayerBytes {
  return {
    done: layers.reduce((sum, layer) => sum + layer.done, 0),
    total: layers.reduce((sum, layer) => sum + layer.total, 0),
  };
}
