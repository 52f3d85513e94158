import { posix } from 'node:path';

/** Where COPY and ADD write to: absolute; a slash at the end says that it is a directory. */
export function destinationOf(workingDirectory: string, destination: string): string {
  const isDirectory = destination.endsWith('/') || destination === '.' || destination.endsWith('/.');
  const path = posix.isAbsolute(destination) ? destination : posix.join('/', workingDirectory, destination);
  const clean = posix.normalize(path).replace(/(.)\/+$/, '$1');
  return isDirectory && clean !== '/' ? `${clean}/` : clean;
}
