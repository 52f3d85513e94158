/** Images that were made on other images: a nameless one in the middle is no victim by itself, it goes with its last child. */
import type { ImageView } from '../images/types.ts';

/** Images without a name that others were made on. */
export function intermediatesOf(images: readonly ImageView[]): ReadonlySet<string> {
  const parents = new Set<string>(images.flatMap(({ parent }) => parent ?? []));
  return new Set(images.filter((image) => isNameless(image) && parents.has(image.id)).map(({ id }) => id));
}

/** Those of them that go along when `going` go: unused, and all their children go. */
export function followersOf(
  images: readonly ImageView[],
  going: ReadonlySet<string>,
  used: ReadonlySet<string>,
): ReadonlySet<string> {
  const children = Map.groupBy(images, ({ parent }) => parent);
  const intermediates = intermediatesOf(images);
  const followers = new Set<string>();
  const goes = ({ id }: ImageView): boolean => {
    if (going.has(id)) return true;
    if (used.has(id) || !intermediates.has(id)) return false;
    return (children.get(id) ?? []).every(goes);
  };
  for (const image of images) if (!going.has(image.id) && goes(image)) followers.add(image.id);
  return followers;
}

function isNameless({ tags, digests }: ImageView): boolean {
  return tags.length === 0 && digests.length === 0;
}
