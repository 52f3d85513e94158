import { server } from '../api/server.ts';
export const one = server;
