import cron from 'node-cron';
export const one = cron;
