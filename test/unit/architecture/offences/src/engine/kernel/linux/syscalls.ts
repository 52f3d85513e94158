import koffi from 'koffi';
import { spawn } from 'node:child_process';
import { kernel } from '../kernel.ts';
export const syscalls = [koffi, spawn, kernel];
