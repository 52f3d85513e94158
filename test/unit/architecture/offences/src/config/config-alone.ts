import { mount } from '../engine/oci/mount.ts';
export const one = mount;
