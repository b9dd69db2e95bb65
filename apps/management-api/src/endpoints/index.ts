import { EndpointRow } from './endpoint.entity.js';
import { EndpointsController } from './endpoints.controller.js';

export const endpoints = { controllers: [EndpointsController], entities: [EndpointRow] };
