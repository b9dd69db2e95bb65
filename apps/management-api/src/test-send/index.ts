import { TestSendController } from './test-send.controller.js';

export { Dispatch } from './dispatch.js';
export { TestSends } from './test-sends.js';

export const testSend = { controllers: [TestSendController] };
