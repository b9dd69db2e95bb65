import { describe, expect, it } from '@jest/globals';
import { calledAs, checkUrl, parseEgressPolicy, shownAs } from './index.js';

const none = parseEgressPolicy('');
const ruleOf = (url: string, policy = none): string => {
  const verdict = checkUrl(url, policy);
  return verdict.ok ? `accepted ${verdict.href}` : verdict.rule;
};
const long = (chars: number) => 'a'.repeat(chars);

describe('an endpoint URL is refused', () => {
  // The numbers are the cases of the network safety table that are refused before any connection.
  it.each<[number, string, ...string[]]>([
    [1, 'private_address', 'https://127.0.0.1', 'https://127.1', 'https://0', 'https://0.0.0.0'],
    [2, 'private_address', 'https://2130706433', 'https://0x7f000001', 'https://017700000001'],
    [3, 'private_address', 'https://①②⑦.⓪.⓪.①', 'https://127。0。0。1', 'https://%31%32%37.0.0.1'],
    [4, 'private_address', 'https://[::1]', 'https://[::]'],
    [5, 'private_address', 'https://[::ffff:127.0.0.1]', 'https://[::ffff:a9fe:a9fe]'],
    [6, 'private_address', 'https://[::127.0.0.1]'],
    [7, 'private_address', 'https://[64:ff9b::a9fe:a9fe]', 'https://[64:ff9b:1::1]'],
    [8, 'private_address', 'https://[2002:7f00:1::]', 'https://[2001:0:7f00:1::]'],
    [9, 'private_address', 'https://[2a00:1450::5efe:7f00:1]', 'https://[2a00:1450::200:5efe:7f00:1]'],
    [10, 'private_address', 'https://[fe80::1]'],
    [10, 'not_a_url', 'https://[fe80::1%25eth0]'],
    [11, 'private_address', 'https://[fc00::1]', 'https://[fd00:ec2::254]', 'https://[fd20:ce::254]'],
    [12, 'private_address', 'https://[ff02::1]', 'https://[fec0::1]', 'https://[2001:db8::1]'],
    [
      12,
      'private_address',
      'https://[3fff::1]',
      'https://[100::1]',
      'https://[5f00::1]',
      'https://[4000::1]',
    ],
    [13, 'private_address', 'https://169.254.169.254', 'https://169.254.170.2'],
    [14, 'private_address', 'https://100.100.100.200', 'https://192.0.0.192', 'https://168.63.129.16'],
    [15, 'private_address', 'https://10.1.2.3', 'https://172.16.0.1', 'https://172.31.255.255'],
    [15, 'private_address', 'https://192.168.1.1', 'https://100.64.0.1', 'https://100.127.255.255'],
    [16, 'private_address', 'https://198.18.0.1', 'https://198.19.0.1', 'https://192.0.2.1'],
    [16, 'private_address', 'https://198.51.100.1', 'https://203.0.113.1', 'https://192.88.99.1'],
    [17, 'private_address', 'https://224.0.0.1', 'https://240.0.0.1', 'https://255.255.255.255'],
    [17, 'private_address', 'https://0.1.2.3'],
    [
      18,
      'private_name',
      'https://localhost',
      'https://LOCALHOST.',
      'https://ⅼocalhost',
      'https://x.localhost',
    ],
    [19, 'private_name', 'https://printer.local', 'https://metadata.google.internal', 'https://a.b.svc'],
    [
      19,
      'private_name',
      'https://db.ns.svc.cluster.local',
      'https://abc.onion',
      'https://1.0.0.127.in-addr.arpa',
    ],
    [19, 'private_name', 'https://intranet', 'https://intranet.'],
    [27, 'userinfo', 'https://user:pass@example.com', 'https://user@example.com'],
    [28, 'userinfo', 'https://example.com@203.0.114.1'],
    [28, 'fragment', 'https://127.0.0.1#@example.com'],
    [29, 'odd_characters', 'https://example.com\\@127.0.0.1'],
    [30, 'scheme', 'ftp://example.com', 'file:///etc/passwd', 'gopher://example.com', 'data:text/html,x'],
    [30, 'scheme', 'javascript:alert(1)', 'unix:/tmp/x', 'ws://example.com', 'http+unix://%2Ftmp/x'],
    [31, 'https_only', 'http://example.com/hook', 'http://93.184.215.14/'],
    [32, 'port', ...[0, 22, 25, 53, 110, 143, 389, 445, 1023].map((port) => `https://example.com:${port}/`)],
    [
      32,
      'port',
      ...[3306, 5432, 6379, 9092, 9200, 11211, 2375, 10250].map((p) => `https://example.com:${p}/`),
    ],
    [
      33,
      'not_a_url',
      'https://example.com:65536',
      'https://',
      'https://[example.com]',
      'example.com/hook',
      '',
    ],
    [33, 'host', 'https://a..b', 'https://.', `https://${long(64)}.com`, 'https://-a.com', 'https://a-.com'],
    [33, 'host', `https://${`${long(60)}.`.repeat(5)}com`],
    [34, 'too_long', `https://example.com/${long(2_048)}`, `https://example.com/${'é'.repeat(1_000)}`],
    [34, 'fragment', 'https://example.com/#part', 'https://example.com/#'],
    [34, 'odd_characters', 'https://example.com/a\tb', 'https://example.com/a\r\nb', 'https://exa mple.com/'],
    [
      34,
      'odd_characters',
      ' https://example.com/',
      'https://example.com/\u0000',
      'https://example.com/\u007f',
    ],
  ])('case %i: %s', (_, rule, ...urls) => {
    expect(urls.map((url) => ruleOf(url))).toEqual(urls.map(() => rule));
  });
});

describe('an endpoint URL is accepted', () => {
  it.each([
    ['as it is', 'https://example.com/hook?a=1', 'https://example.com/hook?a=1'],
    ['with a high port', 'https://example.com:8443', 'https://example.com:8443/'],
    ['with a public address', 'https://93.184.215.14/', 'https://93.184.215.14/'],
    ['with a public IPv6 address', 'https://[2606:4700:4700::1111]/', 'https://[2606:4700:4700::1111]/'],
    ['35: in punycode', 'https://münchen.de/', 'https://xn--mnchen-3ya.de/'],
    ['35: a mixed script as punycode', 'https://аpple.com/', 'https://xn--pple-43d.com/'],
    ['36: with escaped line breaks, still escaped', 'https://a.example/%0d%0ax', 'https://a.example/%0d%0ax'],
    ['without the root dot', 'https://Example.COM./x', 'https://example.com/x'],
  ])('%s', (_, url, href) => {
    expect(checkUrl(url, none)).toEqual({ ok: true, href });
  });
});

describe('a URL that is kept', () => {
  it.each([
    ['a host without a path', 'https://example.com', null],
    ['capitals', 'HTTPS://Example.COM/X?Y', null],
    ['a port that needs none', 'https://example.com:443?x', null],
    ['dots and letters in the path', 'https://example.com/a/../ü', null],
    ['an IPv6 address', 'https://[2606:4700:4700::1111]:8443', null],
    ['lookalike letters', 'https://аpple.com/x', 'https://xn--pple-43d.com/x'],
    ['an escaped host', 'https://exa%6dple.com/', 'https://example.com/'],
    ['a number for an address', 'https://0x5db8d70e/', 'https://93.184.215.14/'],
    ['a root dot', 'https://example.com./x', 'https://example.com/x'],
    ['a slash too few', 'https:/example.com/x', 'https://example.com/x'],
  ])('is as it was written, or as it is called, with %s', (_, url, called) => {
    expect(shownAs(url, calledAs(url))).toBe(called ?? url);
    expect(checkUrl(called ?? url, none)).toEqual(checkUrl(url, none));
    expect(checkUrl(url, none)).toEqual({ ok: true, href: calledAs(url) });
  });

  it('is called the same however it is written, and what is no URL not at all', () => {
    const written = ['https://IDP.example./token', 'https://idp.example:443/a/../token'];
    expect(written.map(calledAs)).toEqual(written.map(() => 'https://idp.example/token'));
    expect(calledAs('no url')).toBe('no url');
  });
});

describe('an allow list', () => {
  const loopback = parseEgressPolicy('127.0.0.0/8, ::1');

  it('opens its literal addresses, plain http included, and nothing else', () => {
    expect(ruleOf('http://127.0.0.1:8080/x', loopback)).toBe('accepted http://127.0.0.1:8080/x');
    expect(ruleOf('http://[::ffff:127.0.0.1]:8080/', loopback)).toContain('accepted');
    expect(ruleOf('https://10.0.0.1/', loopback)).toBe('private_address');
    expect(ruleOf('http://example.com/', loopback)).toBe('https_only');
    expect(ruleOf('http://localhost:8080/', loopback)).toBe('private_name');
  });

  it('never opens metadata services or tunnels', () => {
    const all = parseEgressPolicy('0.0.0.0/0,::/0');
    for (const host of ['169.254.169.254', '[::ffff:a9fe:a9fe]', '168.63.129.16', '100.100.100.200']) {
      expect(ruleOf(`https://${host}/`, all)).toBe('private_address');
    }
    for (const host of [
      '[fd00:ec2::254]',
      '[64:ff9b::a9fe:a9fe]',
      '[2002:a9fe:a9fe::]',
      '[::169.254.169.254]',
    ]) {
      expect(ruleOf(`https://${host}/`, all)).toBe('private_address');
    }
    expect(ruleOf('https://10.0.0.1/', all)).toContain('accepted');
  });

  it('does not open what is denied', () => {
    const policy = parseEgressPolicy(
      '10.0.0.0/8',
      '10.1.0.0/16,Hooks.Example.com, 93.184.215.0/24,2606:4700::/32',
    );
    for (const host of [
      '10.1.2.3',
      '[::ffff:10.1.2.3]',
      'hooks.example.com',
      'HOOKS.example.com.',
      'a.b.hooks.example.com',
      '93.184.215.14',
      '0x5db8d70e',
      '[2606:4700::1]',
    ]) {
      expect([host, ruleOf(`https://${host}/`, policy)]).toEqual([host, 'denied_host']);
    }
    for (const host of ['10.2.2.3', 'example.com', 'otherhooks.example.com', '93.184.216.14']) {
      expect(ruleOf(`https://${host}/`, policy)).toContain('accepted');
    }
    for (const deny of ['10.0.0.0/33', 'exa mple.com', '1.2.3', 'https://x.com', '*.x.com']) {
      expect(() => parseEgressPolicy('', deny)).toThrow(RangeError);
    }
  });

  it.each(['127.0.0.0/33', 'example.com', '10.0.0.0/-1', '::/129', '10.0.0.0/a'])('%j is refused', (text) => {
    expect(() => parseEgressPolicy(text)).toThrow(RangeError);
  });
});
