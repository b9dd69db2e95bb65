import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65_535);

export const PlayConfig = z.object({
  PLAY_HOST: z.string().default('127.0.0.1').describe('Address play listens on'),
  PLAY_PORT: port.default(4180).describe('Port of the receivers, their API and their pages'),
  POSTHASTE_SUPERVISED: z
    .enum(['0', '1'])
    .default('0')
    .describe('1: stop when standard input closes, so that a killed supervisor leaves nothing behind'),
});

export const playConfig = (): z.infer<typeof PlayConfig> => PlayConfig.parse(process.env);
