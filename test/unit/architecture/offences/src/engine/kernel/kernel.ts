import { mount } from '../oci/mount.ts';
export const kernel = mount;
