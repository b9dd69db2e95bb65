import { DeliveriesController } from './deliveries.controller.js';
import { MessagesController } from './messages.controller.js';

export { History } from './history.js';
export { HistoryReader, isAway } from './history-reader.js';
export { attemptView } from './views.js';

export const history = { controllers: [MessagesController, DeliveriesController] };
