import { double } from '../../../test/double.ts';
export const one = double;
