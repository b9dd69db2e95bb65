import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { type AddressInfo, createServer, type Server } from 'node:net';
import ipaddr from 'ipaddr.js';

/** What a name has, or how the server misbehaves when asked for it. */
export type Zone = Record<string, { addresses: string[]; alias?: string } | 'SERVFAIL' | 'silent'>;

const TYPES = { A: 1, CNAME: 5, AAAA: 28 };
const RCODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 };
const HEADER_BYTES = 12;

/** What a resolver takes in one packet; for more it asks again over TCP. */
const MAX_PACKET_BYTES = 1_200;

/** A name server on loopback: A, AAAA and CNAME, enough to lie with. Counts the questions for each name. */
export class NameServer {
  readonly asked = new Map<string, number>();
  private readonly unanswered: { query: Buffer; from: RemoteInfo }[] = [];

  private constructor(
    private readonly socket: Socket,
    private readonly stream: Server,
    readonly zone: Zone,
  ) {
    socket.on('message', (query, from) => {
      const answer = this.answer(query);
      if (answer) socket.send(inOnePacket(answer), from.port, from.address);
      else this.unanswered.push({ query, from });
    });
    stream.on('connection', (connection) => {
      let received = Buffer.alloc(0);
      connection.on('error', () => undefined);
      connection.on('data', (data) => {
        received = Buffer.concat([received, data]);
        while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
          const end = 2 + received.readUInt16BE(0);
          const answer = this.answer(received.subarray(2, end));
          received = received.subarray(end);
          if (!answer) continue;
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length, 0);
          connection.write(Buffer.concat([length, answer]));
        }
      });
    });
  }

  static async start(zone: Zone): Promise<NameServer> {
    const [socket, stream] = [createSocket('udp4'), createServer()];
    const server = new NameServer(socket, stream, zone);
    await new Promise<void>((resolve) => stream.listen(0, '127.0.0.1', resolve));
    const { port } = stream.address() as AddressInfo;
    await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.socket.address().port}`;
  }

  /** What was left without an answer gets one, so that nobody goes on asking. */
  async stop(): Promise<void> {
    for (const { query, from } of this.unanswered) {
      const answer = response(query, readName(query).end + 4, RCODES.SERVFAIL, []);
      await new Promise((sent) => this.socket.send(answer, from.port, from.address, sent));
    }
    await new Promise<void>((closed) => this.socket.close(closed));
    await new Promise((closed) => this.stream.close(closed));
  }

  private answer(query: Buffer): Buffer | null {
    const { name, end } = readName(query);
    const type = query.readUInt16BE(end);
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    const held = this.zone[name];
    if (held === 'silent') return null;
    if (held === undefined || held === 'SERVFAIL') {
      return response(query, end + 4, held === undefined ? RCODES.NXDOMAIN : RCODES.SERVFAIL, []);
    }
    const records = held.addresses
      .map((address) => Buffer.from(ipaddr.parse(address).toByteArray()))
      .map((data) => ({ type: data.length === 4 ? TYPES.A : TYPES.AAAA, data }))
      .filter((record) => record.type === type);
    const alias = held.alias === undefined ? [] : [{ type: TYPES.CNAME, data: encodeName(held.alias) }];
    return response(query, end + 4, RCODES.NOERROR, [...alias, ...records]);
  }
}

/** Without its records and marked as cut, if it is longer than a packet. */
function inOnePacket(answer: Buffer): Buffer {
  if (answer.length <= MAX_PACKET_BYTES) return answer;
  const cut = Buffer.from(answer.subarray(0, readName(answer).end + 4));
  cut.writeUInt16BE(answer.readUInt16BE(2) | 0x0200, 2);
  cut.writeUInt16BE(0, 6);
  return cut;
}

function response(
  query: Buffer,
  questionEnd: number,
  rcode: number,
  records: { type: number; data: Buffer }[],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(0x8180 | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  let owner: Buffer = Buffer.from([0xc0, HEADER_BYTES]);
  const answers = records.map(({ type, data }) => {
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(type, 0);
    fixed.writeUInt16BE(1, 2);
    fixed.writeUInt16BE(data.length, 8);
    const record = Buffer.concat([owner, fixed, data]);
    if (type === TYPES.CNAME) owner = data;
    return record;
  });
  return Buffer.concat([header, query.subarray(HEADER_BYTES, questionEnd), ...answers]);
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] as number; length > 0; length = query[at] as number) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function encodeName(name: string): Buffer {
  return Buffer.concat([
    ...name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.alloc(1),
  ]);
}
