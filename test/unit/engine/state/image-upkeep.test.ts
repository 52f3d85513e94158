import { expect, it } from 'vitest';
import { digestOf, type Digest, type ImageId } from '../../../../src/engine/oci/digest.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { ImageUpkeepTable, type ImageFlaw } from '../../../../src/engine/state/image-upkeep.ts';

it('notes what an image lacks once, and nothing of one that has gone meanwhile', () => {
  using database = Database.open(':memory:');
  const table = new ImageUpkeepTable(database);
  const [there, gone] = [digestOf('there'), digestOf('gone')];
  database.run("INSERT INTO image (id, created_at, doc) VALUES (?, 1, '{}')", there);
  const subjects: readonly [Digest, Digest] = [digestOf('one'), digestOf('two')];
  const flaw = (imageId: ImageId, subject: Digest): ImageFlaw => ({ imageId, subject, kind: 'blob' });
  table.addFlaw(flaw(there, subjects[0]));
  table.addFlaw(flaw(there, subjects[0]));
  table.addFlaw(flaw(gone, subjects[1]));
  expect(table.flawsOf(there)).toEqual([flaw(there, subjects[0])]);
  expect(table.flawsOf(gone)).toEqual([]);
  expect(subjects.map((subject) => table.isFlawed(subject))).toEqual([true, false]);
  // They go with their image.
  database.run('DELETE FROM image WHERE id = ?', there);
  expect(table.isFlawed(subjects[0])).toBe(false);
});
