import { compose } from '../../service/compose.ts';
export const one = compose;
