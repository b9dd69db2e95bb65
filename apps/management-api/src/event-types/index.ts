import { EventTypeRow } from './event-type.entity.js';
import { EventTypesController } from './event-types.controller.js';

export const eventTypes = { controllers: [EventTypesController], entities: [EventTypeRow] };
