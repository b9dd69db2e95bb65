import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import { freePorts, type Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type SeenDelivery, type TenantClient, waitFor } from '@posthaste/test-kit';
import { distDir, itOn, startTestStack } from './test-stack.js';

/** The built command as a person or a script runs it, against running services. */
const program = path.join(distDir, 'apps/ops-cli/main.js');
const services = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'];
const hasPseudoTerminals = existsSync('/usr/bin/script');
const ACCOUNT = 'shop';

interface Ran {
  code: number;
  out: string;
  err: string;
}

describe('the posthaste command', () => {
  const home = mkdtempSync(path.join(os.tmpdir(), 'posthaste-cli-'));
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  let endpoint: string;
  /** Of a message that was delivered, and of one that is being retried. */
  let delivered: { message: string; delivery: string };
  let retrying: { message: string; delivery: string; endpoint: string };
  const it = itOn(() => stack);

  function writeProfiles(profiles: Record<string, unknown>, mode = 0o600): void {
    const file = path.join(home, 'posthaste/profiles.json');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify({ default: 'here', profiles }));
    chmodSync(file, mode);
  }

  function profilesHere(): Record<string, unknown> {
    const ops = Object.fromEntries(services.map((name) => [name, stack.opsUrl(name)]));
    return {
      here: { url: stack.url, key: tenant.key, ops },
      'wrong-key': { url: stack.url, key: `${tenant.key}x` },
      operator: { url: stack.url, key: stack.operatorKey },
    };
  }

  function environment(): Record<string, string> {
    const places = { XDG_CONFIG_HOME: home, POSTHASTE_DATA_DIR: path.join(home, 'none') };
    return { PATH: process.env['PATH'] ?? '', HOME: home, TERM: 'xterm', ...places };
  }

  function run(program: string, args: string[], env: Record<string, string> = {}): Promise<Ran> {
    const child = spawn(program, args, {
      cwd: home,
      env: { ...environment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? -1, out, err }));
    });
  }

  const posthaste = (line: string, env: Record<string, string> = {}): Promise<Ran> =>
    run(process.execPath, [program, ...line.split(' ')], env);

  /** What a command that must succeed answers a program. */
  async function answer<T = Record<string, unknown>>(line: string): Promise<T> {
    const { code, out, err } = await posthaste(line);
    expect({ line, code, err }).toEqual({ line, code: 0, err: '' });
    return JSON.parse(out) as T;
  }

  async function refusal(line: string, env: Record<string, string> = {}): Promise<Record<string, unknown>> {
    const { code, out, err } = await posthaste(line, env);
    expect(out).toBe('');
    const { error } = JSON.parse(err) as { error: Record<string, unknown> };
    expect(error['exit']).toBe(code);
    return error;
  }

  async function deliveryOf(message: string, status: string): Promise<SeenDelivery> {
    return waitFor(
      async () => {
        const all = await tenant.deliveries(ACCOUNT);
        return all.find((one) => one.message_id === message && one.status === status);
      },
      { what: `a delivery of ${message} that is ${status}` },
    );
  }

  beforeAll(async () => {
    stack = await startTestStack();
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount(ACCOUNT);
    const [closed] = await freePorts(1);
    const good = { url: receiver.url('/good'), event_types: ['order.placed'] };
    const bad = {
      url: `http://127.0.0.1:${closed}/lost`,
      event_types: ['order.lost'],
      retry_policy: { schedule_seconds: [3_600] },
    };
    endpoint = (await tenant.createEndpoint(ACCOUNT, good)).id;
    const badEndpoint = (await tenant.createEndpoint(ACCOUNT, bad)).id;
    const placed = await tenant.publish(ACCOUNT, 'order.placed', { total: 1999 });
    const lost = await tenant.publish(ACCOUNT, 'order.lost', {});
    delivered = { message: placed.id, delivery: (await deliveryOf(placed.id, 'delivered')).id };
    const delivery = (await deliveryOf(lost.id, 'retrying')).id;
    retrying = { message: lost.id, delivery, endpoint: badEndpoint };
    writeProfiles(profilesHere());
  }, 180_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
    rmSync(home, { recursive: true, force: true });
  }, 60_000);

  it('tells of the installation', async () => {
    expect(await answer('status')).toMatchObject({
      url: stack.url,
      services: services.map((service) => ({ service, kind: 'ready' })),
      accounts: { looked_at: 1 },
      endpoints: { enabled: 2, disabled: 0 },
      latest_deliveries: { delivered: 1, retrying: 1 },
    });
    const { data } = await answer<{ data: { service: string; metric: string }[] }>('lag');
    expect(new Set(data.map(({ service }) => service))).toEqual(
      new Set(['dispatcher', 'retry-scheduler', 'audit-log']),
    );
    const held = await answer<{ data: { topic: string }[] }>('topics');
    expect(held.data.map(({ topic }) => topic)).toEqual(Object.keys(topics));
    const day = 86_400_000;
    expect(held.data).toContainEqual({
      topic: 'messages',
      partitions: 6,
      appended: 2,
      kept: 2,
      kept_for_ms: 7 * day,
    });
    expect(held.data).toContainEqual(expect.objectContaining({ topic: 'config', kept_for_ms: null }));
  });

  it('lists and shows what the API has, a filter at a time', async () => {
    const ids = async (line: string): Promise<string[]> =>
      (await answer<{ data: { id: string }[] }>(line)).data.map(({ id }) => id);
    expect(await answer('accounts')).toMatchObject({ data: [{ uid: ACCOUNT }], has_more: false });
    expect(await ids('endpoints list')).toEqual([retrying.endpoint, endpoint]);
    expect(await answer(`endpoints show ${endpoint}`)).toMatchObject({ id: endpoint, health: {} });
    expect(await ids(`messages list --account ${ACCOUNT}`)).toEqual([retrying.message, delivered.message]);
    expect(await ids('messages list --since 1h --event-type order.lost')).toEqual([retrying.message]);
    expect(await ids('messages list --until 1h')).toEqual([]);
    expect(await answer(`messages show ${delivered.message}`)).toMatchObject({ event_type: 'order.placed' });
    expect((await posthaste(`messages payload ${delivered.message}`)).out).toBe('{"total":1999}');
    expect(await ids('deliveries list --status retrying')).toEqual([retrying.delivery]);
    expect(await ids(`deliveries list --endpoint ${endpoint}`)).toEqual([delivered.delivery]);
    expect(await ids(`deliveries list --message ${delivered.message}`)).toEqual([delivered.delivery]);
    expect(await answer(`deliveries show ${retrying.delivery}`)).toMatchObject({ status: 'retrying' });
    expect(await answer(`attempts ${retrying.delivery}`)).toMatchObject({
      data: [{ number: 1, outcome: 'failed', error: { class: 'connection' } }],
    });
  });

  it('goes on where a list ended', async () => {
    type Page = { data: { id: string }[]; next_cursor: string };
    const first = await answer<Page>('messages list --limit 1');
    const second = await answer<Page>(`messages list --limit 1 --cursor ${first.next_cursor}`);
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual([
      retrying.message,
      delivered.message,
    ]);
  });

  it('cancels a delivery, and says why it cannot cancel one that is over', async () => {
    expect(await answer(`deliveries cancel ${retrying.delivery} --dry-run`)).toMatchObject({
      changes: [{ from: 'retrying', to: 'cancelled' }],
    });
    await answer(`deliveries cancel ${retrying.delivery}`);
    await deliveryOf(retrying.message, 'cancelled');
    expect(await refusal(`deliveries cancel ${delivered.delivery}`)).toMatchObject({
      kind: 'refused',
      exit: 5,
      code: 'conflict',
      errors: [{ pointer: ':id', message: 'is delivered already' }],
    });
  });

  it('changes nothing by a dry run, and more than one only when told so twice', async () => {
    const both = `${endpoint} ${retrying.endpoint}`;
    const enabled = async (): Promise<unknown[]> =>
      (await answer<{ data: { enabled: boolean }[] }>('endpoints list')).data.map((one) => one.enabled);
    const change = (to: string) => [endpoint, retrying.endpoint].map((id) => ({ id, from: 'enabled', to }));
    expect(await answer(`endpoints disable ${both} --dry-run`)).toEqual({
      dry_run: true,
      changes: change('disabled'),
    });
    expect(await refusal(`endpoints disable ${both}`)).toMatchObject({ kind: 'usage', exit: 2 });
    // All are read before any is changed.
    expect(await refusal(`endpoints disable ${endpoint} ep_nothing --yes`)).toMatchObject({ exit: 3 });
    expect(await enabled()).toEqual([true, true]);
    expect(await answer(`endpoints disable ${both} --yes`)).toMatchObject({ changes: change('disabled') });
    expect(await enabled()).toEqual([false, false]);
    await answer(`endpoints enable ${both} --yes`);
    expect(await enabled()).toEqual([true, true]);
  });

  it('explains where a message went, and why not elsewhere', async () => {
    const { data } = await answer<{ data: object[] }>(`explain ${delivered.message}`);
    expect(data).toMatchObject([
      { endpoint_id: retrying.endpoint, routed: false, rule: 'event_types', wanted: ['order.lost'] },
      { endpoint_id: endpoint, routed: true, rule: null, delivery: { status: 'delivered' } },
    ]);
    const { out } = await posthaste(`explain ${delivered.message} --endpoint ${retrying.endpoint} --table`);
    expect(out).toMatch(
      /^id +msg_.*\nendpoint +went there +rule.*\nep_\w+ +no +event_types +order.lost +order.placed/s,
    );
  });

  it('says who changed what of an endpoint, and shows it as it was', async () => {
    const { data } = await answer<{ data: { version: number; action: string }[] }>(
      `endpoints versions ${endpoint}`,
    );
    expect(data.map(({ version, action }) => [version, action])).toEqual([
      [3, 'endpoint.enabled'],
      [2, 'endpoint.disabled'],
      [1, 'endpoint.created'],
    ]);
    expect(await answer(`endpoints diff ${endpoint}`)).toMatchObject({
      from: 2,
      to: 3,
      differences: [{ field: 'enabled', before: false, after: true }, { field: 'disabled_reason' }],
    });
    // It came back to what it was.
    expect(await answer(`endpoints diff ${endpoint} --from 1`)).toMatchObject({ to: 3, differences: [] });
    expect(await refusal(`endpoints diff ${endpoint} --from 3 --to 2`)).toMatchObject({ exit: 2 });
    const { at } = data.find(({ version }) => version === 2) as unknown as { at: string };
    for (const then of [`--version 2`, `--at ${at}`]) {
      expect(await answer(`endpoints show ${endpoint} ${then}`)).toMatchObject({ enabled: false });
    }
  });

  it('resends deliveries, more than one only when told so twice', async () => {
    const before = receiver.at('/good').length;
    expect(await answer(`resend ${delivered.delivery} --dry-run`)).toMatchObject({
      changes: [{ from: 'delivered', to: 'requested' }],
    });
    expect(await refusal(`resend ${delivered.delivery} dlv_nothing --yes`)).toMatchObject({ exit: 3 });
    expect(await refusal(`resend ${delivered.delivery} ${retrying.delivery}`)).toMatchObject({ exit: 2 });
    expect(receiver.at('/good')).toHaveLength(before);
    await answer(`resend ${delivered.delivery}`);
    await waitFor(() => receiver.at('/good').length > before);
    expect(receiver.at('/good').at(-1)?.headers['webhook-replay']).toBe('true');
  });

  /** A command that goes on: the lines it has printed so far. */
  function following(line: string): {
    lines: string[];
    end: (signal?: NodeJS.Signals) => Promise<number | null>;
  } {
    const child = spawn(process.execPath, [program, ...line.split(' ')], {
      cwd: home,
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines: string[] = [];
    let rest = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { lines, end: (signal) => (signal && child.kill(signal), ended) };
  }

  const resendGood = (): Promise<unknown> =>
    tenant.rest.ask('POST', `/v1/deliveries/${delivered.delivery}/resend`);
  const attemptsOf = async (delivery: string): Promise<number[]> =>
    (await answer<{ data: { number: number }[] }>(`attempts ${delivery}`)).data.map(({ number }) => number);

  it('follows attempts through a restart of the server, a line of JSON for each, without loss', async () => {
    const { lines, end } = following(`tail --endpoint ${endpoint} --outcome succeeded`);
    const numbers = (): number[] => lines.map((line) => (JSON.parse(line) as { number: number }).number);
    // It says nothing before the first attempt: that it follows shows by one of several.
    await waitFor(async () => (await resendGood(), lines.length > 0), {
      what: 'the first line',
      everyMs: 200,
    });
    await stack.process('management-api').stop();
    await stack.process('management-api').start();
    await stack.waitReady();
    await resendGood();
    const made = receiver.at('/good').length;
    await waitFor(() => receiver.at('/good').length > made);
    const latest = await waitFor(async () => {
      const [last = 0] = await attemptsOf(delivered.delivery);
      return last > (numbers()[0] ?? 0) && numbers().includes(last) && last;
    });
    const first = numbers()[0] ?? 0;
    expect(numbers()).toEqual(Array.from({ length: latest - first + 1 }, (_, i) => first + i));
    await end('SIGINT');
  }, 60_000);

  (hasPseudoTerminals ? it : () => undefined)('follows attempts in a table on a terminal', async () => {
    const line = `'${process.execPath}' '${program}' tail --status delivered --limit 1`;
    const onTerminal = run('script', ['-qec', line, '/dev/null']);
    let isOver = false;
    void onTerminal.then(() => (isOver = true));
    await waitFor(async () => (await resendGood(), isOver), { what: 'its end', everyMs: 200 });
    const { code, out } = await onTerminal;
    expect(code).toBe(0);
    expect(out).toMatch(/started +outcome +status +n +why/);
    expect(out).toContain('\u001b[32msucceeded');
    expect(out).toContain(endpoint);
  });

  it('refuses to follow what is not there, and what the key may not see', async () => {
    expect(await refusal('tail --account nobody')).toMatchObject({ exit: 3, code: 'not_found' });
    expect(await refusal('tail --status pending')).toMatchObject({ exit: 2 });
    expect(await refusal('tail --profile wrong-key')).toMatchObject({ exit: 5 });
  });

  describe('with an endpoint that was down', () => {
    let down: string;
    const recoverIt = (): string => `recover ${down} --since 1h`;
    beforeAll(async () => {
      receiver.plan({ path: '/down', answers: [500] });
      const body = {
        url: receiver.url('/down'),
        event_types: ['order.down'],
        retry_policy: { preset: 'none' },
      };
      down = (await tenant.createEndpoint(ACCOUNT, body)).id;
      const published = [1, 2, 3].map((n) => tenant.publish(ACCOUNT, 'order.down', { n }));
      for (const { id } of await Promise.all(published)) await deliveryOf(id, 'exhausted');
    }, 60_000);

    it('says how much it lacks, and sends it only when told so', async () => {
      expect(await answer(`${recoverIt()} --dry-run`)).toMatchObject({
        id: null,
        status: 'dry_run',
        total: 3,
      });
      expect(await refusal(recoverIt())).toMatchObject({
        exit: 2,
        message: 'this would send 3 messages again',
      });
      expect(await refusal(`recover ${down}`)).toMatchObject({ exit: 2 });
      expect(await answer('replay list')).toMatchObject({ data: [] });
    });

    it('ends when the replay it watches is paused by another, and resumed that one goes on to its end', async () => {
      const { lines, end } = following(`${recoverIt()} --rate 1/s --yes`);
      const ids = async (): Promise<string[]> =>
        (await tenant.rest.ask<{ data: { id: string }[] }>('GET', '/v1/replays')).data.map(({ id }) => id);
      const [id = ''] = await waitFor(async () => {
        const found = await ids();
        return found.length > 0 && found;
      });
      // At once: three take two seconds.
      await tenant.rest.ask('POST', `/v1/replays/${id}/pause`);
      expect(await end()).toBe(0);
      expect(JSON.parse(lines.join(''))).toMatchObject({ id, status: 'paused' });
      expect(await answer(`replay pause ${id}`)).toMatchObject({
        changes: [{ from: 'paused', to: 'paused' }],
      });
      expect(await answer(`replay resume ${id} --dry-run`)).toMatchObject({
        changes: [{ from: 'paused', to: 'running' }],
      });
      expect(await answer(`replay resume ${id}`)).toMatchObject({ changes: [{ id, to: 'running' }] });
      await waitFor(async () => {
        const { status, failed } = await answer(`replay show ${id}`);
        return status === 'completed' && failed === 3;
      });
      expect(await answer(`replay cancel ${id}`)).toMatchObject({ changes: [{ id, to: 'completed' }] });
    }, 60_000);

    it('watches a replay until its attempts are made', async () => {
      receiver.plan({ path: '/down', answers: [200] });
      const left = await answer<{ total: number }>(`${recoverIt()} --dry-run`);
      const done = await answer<Record<string, number>>(`${recoverIt()} --yes`);
      expect(done).toMatchObject({ status: 'completed', succeeded: left.total, failed: 0 });
      expect(await answer(recoverIt())).toMatchObject({ id: null, total: 0 });
    }, 60_000);

    (hasPseudoTerminals ? it : () => undefined)(
      'draws how far it is, and ends when Ctrl-C is pressed',
      async () => {
        receiver.plan({ path: '/down', answers: [500] });
        const published = Array.from({ length: 8 }, (_, n) => tenant.publish(ACCOUNT, 'order.down', { n }));
        for (const { id } of await Promise.all(published)) await deliveryOf(id, 'exhausted');
        const command = `exec '${process.execPath}' '${program}' ${recoverIt()} --rate 1/s --yes`;
        const terminal = spawn('script', ['-qec', command, '/dev/null'], {
          cwd: home,
          env: environment(),
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        let out = '';
        terminal.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
        const ended = new Promise((resolve) => terminal.once('close', resolve));
        await waitFor(() => /\[#*\.+\] \d of 8 requested/.test(out), { what: 'the bar' });
        terminal.stdin.write('\u0003');
        expect(await ended).toBe(0);
        expect(out).toMatch(/it goes on: posthaste replay show rpl_\w+ shows how far it is/);
        const [id = ''] = /rpl_\w+/.exec(out) ?? [];
        expect(await tenant.rest.ask('POST', `/v1/replays/${id}/cancel`)).toMatchObject({
          status: 'cancelled',
        });
      },
      60_000,
    );
  });

  it('says what each service reads from its environment', async () => {
    for (const service of services) {
      const { keys } = await answer<{ keys: { name: string; meaning: string }[] }>(`config ${service}`);
      expect(keys).toContainEqual(expect.objectContaining({ name: 'OPS_PORT', default: 'required' }));
      expect(keys.filter(({ meaning }) => meaning === '')).toEqual([]);
    }
  });

  it('simulates an outage with the policy of a file, and never with one that is wrong', async () => {
    writeFileSync(path.join(home, 'policy.json'), JSON.stringify({ schedule_seconds: [60] }));
    writeFileSync(path.join(home, 'wrong.json'), JSON.stringify({ schedule_seconds: [-1] }));
    const report = await answer<Record<string, number> & { attempts_by_number: number[] }>(
      'simulate --outage 5m --rate 20/s --policy policy.json',
    );
    expect(report).toMatchObject({ messages: 17 * 60 * 20, delivered_twice: 0, healthy_longest_wait_ms: 0 });
    expect(Number(report['delivered']) + Number(report['exhausted'])).toBe(report['messages']);
    expect(report.attempts_by_number[0]).toBe(report['messages']);
    expect(report['attempts_while_away']).toBeGreaterThan(0);
    expect(await refusal('simulate --outage 5m --policy wrong.json')).toMatchObject({
      exit: 2,
      errors: [{ pointer: '/schedule_seconds/0' }],
    });
  });

  it('gives completions that their shell can read', async () => {
    const { out } = await posthaste('completion bash');
    const line = `${out}\nCOMP_WORDS=(posthaste deliveries c) COMP_CWORD=2; _posthaste; echo "$COMPREPLY"`;
    expect(await run('bash', ['-c', line])).toMatchObject({ code: 0, out: 'cancel\n' });
  });

  it('ends with a code for each kind of trouble, a reason, and never a stack', async () => {
    const [closed] = await freePorts(1);
    const away = { POSTHASTE_URL: `http://127.0.0.1:${closed}`, POSTHASTE_KEY: 'any' };
    expect(await refusal('endpoints list --account nobody')).toMatchObject({ exit: 3, code: 'not_found' });
    expect(await refusal('accounts --limit many')).toMatchObject({ exit: 2 });
    expect(await refusal('messages list --cursor bent')).toMatchObject({ exit: 2, code: 'invalid_cursor' });
    expect(await refusal('accounts --profile wrong-key')).toMatchObject({
      exit: 5,
      code: 'unauthenticated',
      hint: expect.stringContaining('profile wrong-key') as unknown,
    });
    expect(await refusal('accounts --profile operator')).toMatchObject({ exit: 5, code: 'forbidden' });
    const unreachable = await refusal('accounts', away);
    expect(unreachable).toMatchObject({
      exit: 4,
      message: expect.stringContaining('nothing listens') as unknown,
    });
    const { err } = await posthaste('accounts --table', away);
    expect(err).toMatch(/^posthaste: http.* cannot be reached: nothing listens there\n {2}→ .*\n$/);
  });

  const findings = async (
    line: string,
    env = {},
  ): Promise<{ code: number; states: Record<string, string> }> => {
    const { code, out } = await posthaste(line, env);
    const { findings } = JSON.parse(out) as { findings: { check: string; state: string }[] };
    return { code, states: Object.fromEntries(findings.map(({ check, state }) => [check, state])) };
  };

  it('is a doctor who finds a healthy installation healthy, and what is wrong with others', async () => {
    const well = { settings: 'ok', server: 'ok', clock: 'ok', key: 'ok' };
    const ready = Object.fromEntries(services.map((name) => [name, 'ok']));
    expect(await findings('doctor')).toEqual({ code: 0, states: { ...well, ...ready } });
    expect(await findings('doctor --profile wrong-key')).toMatchObject({ code: 1, states: { key: 'wrong' } });
    const other = { POSTHASTE_URL: stack.opsUrl('dispatcher'), POSTHASTE_KEY: tenant.key };
    expect(await findings('doctor', other)).toMatchObject({ code: 1, states: { server: 'wrong' } });
    writeProfiles(profilesHere(), 0o644);
    expect(await findings('doctor')).toMatchObject({ code: 0, states: { settings: 'warning' } });
    writeProfiles(profilesHere());
  });

  it('is a doctor who names the service that is down', async () => {
    await stack.process('dispatcher').stop();
    const { code, out } = await posthaste('doctor --table');
    expect(code).toBe(1);
    expect(out).toMatch(/^dispatcher +wrong +.*nothing listens there +start it/m);
    expect((await posthaste('status')).code).toBe(1);
    await stack.process('dispatcher').start();
    await stack.waitReady();
    expect((await posthaste('doctor')).code).toBe(0);
  });

  it('prints a table when told so, without colours where there is no terminal', async () => {
    const { out } = await posthaste('deliveries list --status delivered --table');
    expect(out).toMatch(/^id +accepted +event type +endpoint +status +attempts +last +next attempt\ndlv_/);
    expect(out).not.toContain('\u001b');
  });

  (hasPseudoTerminals ? it : () => undefined)(
    'prints a painted table on a terminal, unless NO_COLOR is set',
    async () => {
      const line = `'${process.execPath}' '${program}' deliveries list --status delivered`;
      const onTerminal = (env = {}): Promise<Ran> => run('script', ['-qec', line, '/dev/null'], env);
      const { out } = await onTerminal();
      expect(out).toContain('\u001b[32mdelivered');
      expect(out).toContain(delivered.delivery);
      const { out: plain } = await onTerminal({ NO_COLOR: '1' });
      expect(plain).toContain(delivered.delivery);
      expect(plain).not.toContain('\u001b[32m');
    },
  );
});
