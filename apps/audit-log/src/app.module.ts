import { type DynamicModule, Module } from '@nestjs/common';
import type pg from 'pg';
import { HISTORY_READS, historyFeature } from './history/index.js';

@Module({})
export class AppModule {
  static over(reads: pg.Pool): DynamicModule {
    return {
      module: AppModule,
      controllers: [...historyFeature.controllers],
      providers: [{ provide: HISTORY_READS, useValue: reads }],
    };
  }
}
