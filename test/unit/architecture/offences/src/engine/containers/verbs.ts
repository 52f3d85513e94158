import { images } from '../images/images.ts';
export const containers = images;
