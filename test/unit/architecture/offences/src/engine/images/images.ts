import { storage } from '../storage/driver.ts';
export const images = storage;
