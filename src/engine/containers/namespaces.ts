/** Namespaces that containers have for themselves, share with one another, or with the host. */
export { byDonorId, checkDonorsExist, lendsShm, networkDonor } from './namespaces/donors.ts';
export { resolveNamespaces, shmPathOf } from './namespaces/resolve.ts';
