import type { OptionDefinition, OptionValue } from './options.ts';
import type { Origin } from './origin.ts';

/** One layer says one thing of one option. A flag given twice makes two. */
export interface Assignment {
  readonly option: OptionDefinition;
  readonly value: OptionValue;
  readonly origin: Origin;
}
