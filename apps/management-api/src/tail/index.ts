import { TailController } from './tail.controller.js';

export { Tail } from './tail.js';

export const tail = { controllers: [TailController] };
