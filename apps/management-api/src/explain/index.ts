import { ExplainController } from './explain.controller.js';

export { Explain } from './explain.js';

export const explain = { controllers: [ExplainController] };
