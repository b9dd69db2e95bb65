import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { CommonConfig, ConfigError, describeConfig, readConfig } from './index.js';

const env = { DATABASE_URL: 'postgres://app@127.0.0.1:5432/posthaste', OPS_PORT: '9400' };

describe('a configuration', () => {
  it('is read from the environment, with defaults', () => {
    expect(readConfig(CommonConfig, { ...env, LOG_LEVEL: '' })).toMatchObject({
      OPS_PORT: 9400,
      POSTHASTE_LOG: 'postgres',
      LOG_LEVEL: 'info',
    });
  });

  it('that is wrong names every variable and never repeats a value', () => {
    const schema = CommonConfig.extend({ POSTHASTE_KEKS: z.string().min(40) });
    const read = () => readConfig(schema, { DATABASE_URL: 'mysql://hunter2', POSTHASTE_KEKS: 'hunter2' });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/DATABASE_URL: .*; OPS_PORT: .*; POSTHASTE_KEKS: /);
    expect(read).not.toThrow(/hunter2/);
  });

  it('describes every key', () => {
    const keys = describeConfig(CommonConfig);
    expect(keys.every(({ meaning }) => meaning.length > 0)).toBe(true);
    expect(keys).toContainEqual({
      name: 'POSTHASTE_LOG',
      default: 'postgres',
      meaning: 'Where the log lives',
    });
    expect(keys.find(({ name }) => name === 'DATABASE_URL')?.default).toBe('required');
  });
});
