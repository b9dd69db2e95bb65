import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What lists of many deliveries are found by, and the minutes of endpoints.
 *
 * Attempts name their account and endpoint. An index holds no id: rows of one millisecond are few enough to be sorted
 * when they are read, and each entry is a third smaller. What failed has indexes of its own, which what succeeds does not
 * pay for: an attempt's outcome is its own, and a delivery is marked as troubled once, at its first state that is neither
 * pending nor delivered. The mark does not change when it arrives in the end, so that update stays on its page (HOT).
 *
 * Counts are kept by endpoint, minute and bucket of latency (`latency-buckets.ts`), so that adding up any of them is
 * right; bucket -1 holds the deferrals, which have none.
 */
export class HistoryLists1793000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table history.attempt add account text collate "C", add endpoint text collate "C";
      create index attempt_by_account on history.attempt (account, started_at);
      create index attempt_by_endpoint on history.attempt (endpoint, started_at);
      create index attempt_failed_by_account on history.attempt (account, started_at) where outcome = 'failed';
      create index attempt_failed_by_endpoint on history.attempt (endpoint, started_at) where outcome = 'failed';

      alter table history.delivery add troubled boolean;
      -- Begins with the account, although the endpoint would do: the planner, before it has statistics, would take it for
      -- ranges of positions, which have an index of their own (sql/meant-range.ts).
      create index delivery_by_endpoint on history.delivery (account, endpoint, accepted_at);
      create index delivery_troubled_by_account on history.delivery (account, accepted_at) where troubled;
      create index delivery_troubled_by_endpoint on history.delivery (endpoint, accepted_at) where troubled;

      create table history.endpoint_minute (
        minute int not null,
        delivered int not null,
        failed int not null,
        deferred int not null,
        bucket smallint not null,
        tenant text collate "C" not null,
        endpoint text collate "C" not null,
        primary key (endpoint, minute, bucket)
      ) with (fillfactor = 70);
      -- For retention. Rows come in the order of their minutes, near enough.
      create index endpoint_minute_by_time on history.endpoint_minute using brin (minute);

      -- For searches. json, which jsonb is not, takes every text that JSON.stringify makes.
      create function history.is_labelled(meta text, kind text, label text) returns boolean
        language sql immutable strict parallel safe
        as $$ select exists (select from json_array_elements_text(meta::json -> kind) as one where one = label) $$;
      -- Null for what is no JSON, or holds what jsonb cannot (a NUL, half of a surrogate pair).
      create function history.payload_json(payload bytea) returns jsonb
        language plpgsql immutable strict parallel safe
        as $$ begin return convert_from(payload, 'UTF8')::jsonb; exception when others then return null; end $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop function history.payload_json, history.is_labelled;
      drop table history.endpoint_minute;
      alter table history.delivery drop troubled;
      drop index history.delivery_by_endpoint;
      alter table history.attempt drop endpoint, drop account;
    `);
  }
}
