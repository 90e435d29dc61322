// wire.js - bytes to and from the server as a story wants them, right or wrong: no HTTP or WebSocket library between.
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

export const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, CONTINUATION = 0;

// A TCP connection, and all that came over it.
export class Wire {
    constructor(server) {
        this.got = Buffer.alloc(0);
        this.wake = () => {};
        this.isOver = false;
        this.socket = net.connect({ port: server.port, host: '127.0.0.1', noDelay: true });
        this.socket.on('data', data => { this.got = Buffer.concat([this.got, data]); this.wake(); });
        this.socket.on('error', () => {});    // a reset is an end like another
        this.socket.on('close', () => { this.isOver = true; this.wake(); });
    }

    write(data) { this.socket.write(data); }
    end() { this.socket.destroy(); }

    // Takes from what has come as soon as `take` can: it returns { used, ... }, or null when it needs more.
    async take(take) {
        for (;;) {
            const taken = take(this.got);
            if (taken) {
                this.got = this.got.subarray(taken.used);
                return taken;
            }
            if (this.isOver) throw new Error(`the connection ended; left over: ${this.got.toString('latin1')}`);
            await this.more();
        }
    }

    more() {
        return new Promise(resolve => { this.wake = resolve; });
    }

    // Until the server has closed; whatever still comes is thrown away.
    async over() {
        while (!this.isOver) await this.more();
    }

    // ---- HTTP ----

    response({ head = false } = {}) {
        return this.take(got => {
            const end = got.indexOf('\r\n\r\n');
            if (end < 0) return null;
            const [line, ...lines] = got.subarray(0, end).toString('latin1').split('\r\n');
            const headers = {};
            for (const header of lines) {
                const [, name, value] = /^([^:]+): ?(.*)$/.exec(header);
                headers[name.toLowerCase()] = value;
            }
            const length = head ? 0 : Number(headers['content-length'] ?? 0);
            const used = end + 4 + length;
            if (got.length < used) return null;
            const body = got.subarray(end + 4, used).toString();
            return { used, status: Number(line.split(' ')[1]), headers, body };
        });
    }

    // ---- WebSocket ----

    // A frame of a client, masked unless told otherwise.
    frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length = null } = {}) {
        const data = Buffer.from(payload);
        const size = length ?? data.length;
        const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
        const bit = masked ? 0x80 : 0;
        if (size < 126) head.push(bit | size);
        else if (size < 0x10000) head.push(bit | 126, size >> 8, size & 0xff);
        else head.push(bit | 127, ...Buffer.from(size.toString(16).padStart(16, '0'), 'hex'));
        const mask = masked ? randomBytes(4) : Buffer.alloc(0);
        for (let i = 0; masked && i < data.length; i++) data[i] ^= mask[i % 4];
        this.write(Buffer.concat([Buffer.from(head), mask, data]));
    }

    // The next frame of the server.
    nextFrame() {
        return this.take(got => {
            if (got.length < 2) return null;
            let size = got[1], at = 2;
            if (size === 126) { at = 4; size = got.length < 4 ? Infinity : got.readUInt16BE(2); }
            if (size === 127) { at = 10; size = got.length < 10 ? Infinity : Number(got.readBigUInt64BE(2)); }
            if (got.length < at + size) return null;
            const payload = Buffer.from(got.subarray(at, at + size));
            const [first] = got;
            return { used: at + size, fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 15, payload };
        });
    }

    // The code and reason with which the server closes; what it says before that is skipped.
    async closing() {
        let frame;
        do frame = await this.nextFrame(); while (frame.opcode !== CLOSE);
        const code = frame.payload.length < 2 ? null : frame.payload.readUInt16BE(0);
        return { code, reason: frame.payload.subarray(2).toString() };
    }
}

// A whole request, well-formed unless the story says otherwise.
export function request(method, path, { headers = {}, body = null, version = '1.1' } = {}) {
    const length = body === null ? null : Buffer.byteLength(body);
    const all = { Host: 'pipit.example', 'Content-Length': length, ...headers };
    const lines = Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}`);
    return Buffer.concat([Buffer.from([`${method} ${path} HTTP/${version}`, ...lines, '', ''].join('\r\n')),
                          Buffer.from(body ?? '')]);
}

// One request on a connection of its own. `data` is a Buffer or text, sent as it stands.
export async function exchange(server, data, options) {
    const wire = new Wire(server);
    wire.write(data);
    try {
        return await wire.response(options);
    } finally {
        wire.end();
    }
}

export const upgradeHeaders = (key = randomBytes(16).toString('base64')) => ({
    Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': 13,
    'Sec-WebSocket-Protocol': 'pipit.v1',
});

// RFC 6455: what the server has to make of the key.
export const acceptOf = key =>
    createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

// A connection on which the upgrade is done.
export async function upgraded(server) {
    const wire = new Wire(server);
    wire.write(request('GET', '/v1/ws', { headers: upgradeHeaders() }));
    const { status, body } = await wire.response();
    if (status !== 101) throw new Error(`no WebSocket: ${status} ${body}`);
    return wire;
}
