import { playConfig } from './config.js';
import { createPlay } from './server.js';

const config = playConfig();
const play = createPlay();
const stop = (): void => void play.close().finally(() => process.exit(0));
process.once('SIGTERM', stop).once('SIGINT', stop);
if (config.POSTHASTE_SUPERVISED === '1') process.stdin.once('close', stop).resume();
const address = await play.listen({ host: config.PLAY_HOST, port: config.PLAY_PORT });
console.log(JSON.stringify({ service: 'play', msg: 'service.running', address }));
