import { errors } from '../../base/errors.ts';
export const mount = errors;
