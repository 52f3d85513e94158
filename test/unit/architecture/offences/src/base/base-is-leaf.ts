import type { mount } from '../engine/oci/mount.ts';
export let one: typeof mount;
