/** What mount(2) makes of option words, for those who say in an error what they asked for. */
export { parseMountOptions } from './linux/mount-options.ts';
