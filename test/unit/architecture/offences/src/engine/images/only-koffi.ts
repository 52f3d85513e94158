import koffi from 'koffi';
export const one = koffi;
