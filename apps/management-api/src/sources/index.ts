import { SourceRow } from './source.entity.js';
import { SourcesController } from './sources.controller.js';

export { Sources } from './sources.js';
export { startSourceStreams } from './streams/index.js';

export const sources = { controllers: [SourcesController], entities: [SourceRow] };
