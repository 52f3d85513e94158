import { z } from 'zod';
export const one = z;
