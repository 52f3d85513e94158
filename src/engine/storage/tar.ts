/**
 * The tar format for rooms above: a reader that is pushed chunks and cuts them into members, and what a writer puts
 * before, between and behind the members' data. Names are byte strings (see `layers/tar/entry.ts`).
 */
export type { TarEntry, TarSink } from './layers/tar/entry.ts';
export { readable } from './layers/tar/entry.ts';
export { TarReader } from './layers/tar/reader.ts';
export { END_OF_ARCHIVE, headerOf, paddingOf } from './layers/tar/writer.ts';
