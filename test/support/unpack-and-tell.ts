/** A process to kill: unpacks two layers, one on the other, and tells on its standard output how far it is. */
import { chainIdsOf, digestOf } from '../../src/engine/oci/digest.ts';
import { readFileSync } from 'node:fs';
import { openTestStorage, type DriverName } from './layers.ts';

const [name, root, small, big] = process.argv.slice(2) as [DriverName, string, string, string];
const storage = await openTestStorage(name, root);
const [diffId, nextDiffId] = [small, big].map((path) => digestOf(readFileSync(path))) as [never, never];
const [parent] = chainIdsOf([diffId]);
await storage.layers.unpack({ blobPath: small, parent: null, diffId });
process.stdout.write('unpacked\n');
let told = false;
const onProgress = (): void => {
  if (told) return;
  told = true;
  process.stdout.write('writing\n');
  // However late it is killed, it comes no further.
  process.kill(process.pid, 'SIGSTOP');
};
await storage.layers.unpack({ blobPath: big, parent: parent ?? null, diffId: nextDiffId, onProgress });
process.stdout.write('too late\n');
