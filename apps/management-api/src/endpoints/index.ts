import { EndpointRow } from './endpoint.entity.js';
import { EndpointsController } from './endpoints.controller.js';
import { JwksController } from './jwks.controller.js';

export const endpoints = { controllers: [EndpointsController, JwksController], entities: [EndpointRow] };
