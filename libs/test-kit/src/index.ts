export { certificate, certificateKey, expiredCertificate } from './client-certificates.js';
export { endOf, forkSource } from './fork-source.js';
export { rebuildChild, type RebuildChildOrder } from './rebuild-child.js';
export { howRead, type HowRead } from './how-read.js';
export { Receiver, type Answer, type AnswerPlan, type ReceivedRequest } from './receiver.js';
export { RestClient, type RestAnswer, type RestRequest } from './rest-client.js';
export {
  seedTenant,
  TenantClient,
  type NewEndpoint,
  type Published,
  type SeenAttempt,
  type SeenDelivery,
  type SeenEndpoint,
} from './seed-tenant.js';
export { seededRandom, type SeededRandom } from './seeded-random.js';
export { idsBySecond, numberIds, withoutIndexes } from './filled-tables.js';
export { explain, fenced, plansOf, spentUs, timeRuns, type Times } from './statement-figures.js';
export { StreamClient } from './stream-client.js';
export { takeFigures } from './take-figures.js';
export { Upstream } from './upstream.js';
export { waitFor, type WaitOptions } from './wait-for.js';
export { kafkaForTests, type KafkaForTests } from './kafka-for-tests.js';
