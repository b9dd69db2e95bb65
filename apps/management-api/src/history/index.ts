import { DeliveriesController } from './deliveries.controller.js';
import { MessagesController } from './messages.controller.js';

export { History } from './history.js';
export { HistoryReader } from './history-reader.js';

export const history = { controllers: [MessagesController, DeliveriesController] };
