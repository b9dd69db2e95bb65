import { EndpointRow } from './endpoint.entity.js';
import { EndpointsController } from './endpoints.controller.js';
import { JwksController } from './jwks.controller.js';
import { EndpointSecretsController } from './secrets.controller.js';

export const endpoints = {
  controllers: [EndpointsController, EndpointSecretsController, JwksController],
  entities: [EndpointRow],
};
