/**
 * Flags for Node that every service runs with, here and in a container (README's NODE_OPTIONS; a test compares them).
 *
 * Left alone, V8 sizes its heap by the machine: on a large one it lets garbage pile up to three times what a service
 * holds. A limit of 512 MB makes it collect sooner and is far above what a service needs (payloads are kept outside
 * the heap); young garbage gets 8 MB a side. Measured at full speed, 20,000 messages: the peak of management-api went
 * from 315 to 170 MB, of audit-log from 320 to 155, of the dispatcher from 250 to 140. A collector of one thread
 * (--single-threaded-gc) makes 200 messages a second a tenth faster, and full speed a tenth slower: left alone.
 */
export const serviceNodeFlags = ['--max-old-space-size=512', '--max-semi-space-size=8'];

/**
 * What the C library is told likewise. It keeps a heap for each thread that allocates, up to eight for each core, and
 * what was freed in one is not used in another: with two of them management-api and the dispatcher hold 10 MB less
 * at full speed.
 */
export const serviceEnvironment = { MALLOC_ARENA_MAX: '2' };
