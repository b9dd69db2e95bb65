import { type DynamicModule, Module } from '@nestjs/common';
import type { SigningKey } from '@posthaste/audit-tree';
import type pg from 'pg';
import { AUDIT_KEYS, auditTreeFeature } from './audit-tree/index.js';
import { FEED_KEPT_MS, feedsFeature } from './feeds/index.js';
import { AsOfNow, HISTORY_READS, historyFeature } from './history/index.js';
import { retentionFeature } from './retention/index.js';
import { replaysFeature } from './replays/index.js';
import { reconcileFeature } from './reconcile/index.js';

@Module({})
export class AppModule {
  static over(reads: pg.Pool, asOfNow: AsOfNow, feedKeptMs: number, auditKeys: SigningKey[]): DynamicModule {
    return {
      module: AppModule,
      controllers: [
        ...historyFeature.controllers,
        ...feedsFeature.controllers,
        ...replaysFeature.controllers,
        ...reconcileFeature.controllers,
        ...auditTreeFeature.controllers,
        ...retentionFeature.controllers,
      ],
      providers: [
        { provide: HISTORY_READS, useValue: reads },
        { provide: AsOfNow, useValue: asOfNow },
        { provide: FEED_KEPT_MS, useValue: feedKeptMs },
        { provide: AUDIT_KEYS, useValue: auditKeys },
      ],
    };
  }
}
