// session.js - one WebSocket of one device: HELLO, then requests and their answers, then events.
//
// HELLO -> OPEN -> ENDED. Every request is answered once or fails with LinkLost: none outlives the session.
// Frames without a ref are events; they are emitted under their type ('MESSAGE', 'RECEIPT', ...), and so is WELCOME.
// Listeners belong on the session before open() is called: what waits for the device may stand in WELCOME's packet, and
// is emitted before open() has returned.
import { EventEmitter } from 'node:events';
import WebSocket from 'ws';
import { encodeFrame, decodeFrame } from './frames.js';
import { PipitError, LinkLost } from './error.js';

const PROTOCOL_VERSION = 1;
const SUBPROTOCOL = 'pipit.v1';
const AGENT = 'stranger 0.1';

const errorOf = ({ name, text, again, againInMs }) => new PipitError({ name, text, again, waitMs: againInMs });

export class Session extends EventEmitter {
    // server is "http://HOST:PORT", credentials are what login() gave; agent is for people.
    constructor(server, credentials, { agent = AGENT } = {}) {
        super();
        this.server = server;
        this.credentials = credentials;
        this.agent = agent;
        this.welcome = null;         // the WELCOME of this session
        this.goodbye = null;         // GOODBYE, or the ERROR that ended it, when the server said why
        this.refLast = 0;
        this.waiting = new Map();    // ref -> { resolve, reject }
        // Resolves with { code, goodbye } when the connection has ended, however it did.
        this.ended = new Promise(resolve => { this.resolveEnded = resolve; });
    }

    // Connects and says HELLO; returns WELCOME.
    async open() {
        const address = `${this.server.replace('http', 'ws')}/v1/ws`;
        this.socket = new WebSocket(address, SUBPROTOCOL, { perMessageDeflate: false });
        this.socket.on('message', data => this.onFrame(data));
        this.socket.on('ping', () => this.onLife());
        this.socket.on('error', error => { this.fault = error.message; });    // 'close' follows
        this.socket.on('close', code => this.onClose(code));
        await new Promise((resolve, reject) => {
            this.socket.once('open', resolve);
            this.socket.once('close', () => reject(new LinkLost(this.fault)));
        });
        const { user, device, token } = this.credentials;
        return this.request('HELLO', {
            version: PROTOCOL_VERSION, user, device, token: Buffer.from(token, 'hex'), agent: this.agent,
        });
    }

    // Asks and waits for the answer. Throws PipitError for an ERROR, LinkLost when the connection ends before.
    request(type, fields = {}) {
        return this.exchange(ref => encodeFrame({ type, ref, ...fields }));
    }

    // The same with a frame that bytesOf(ref) makes.
    exchange(bytesOf) {
        this.refLast += 1;
        const ref = this.refLast;
        return new Promise((resolve, reject) => {
            if (this.socket.readyState !== WebSocket.OPEN) {
                reject(new LinkLost());
                return;
            }
            this.waiting.set(ref, { resolve, reject });
            this.socket.send(bytesOf(ref));
        });
    }

    // Says DELIVERED or READ, which have no answer; an ERROR they cause is emitted as 'ERROR'.
    tell(type, fields) {
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encodeFrame({ type, ...fields }));
    }

    close() {
        this.socket.close(1000);
        return this.ended;
    }

    onFrame(data) {
        let frame;
        try {
            frame = decodeFrame(data);
        } catch (error) {
            this.fault = error.message;    // a server we do not understand: better none than half of it
            this.socket.terminate();
            return;
        }
        if (frame?.type === 'WELCOME') this.welcome = frame;
        this.onLife();
        if (!frame) return;
        if (frame.type === 'WELCOME') this.emit('WELCOME', frame);    // who waits in open() runs later than events do
        const asked = frame.ref === null ? undefined : this.waiting.get(frame.ref);
        if (asked) {
            this.waiting.delete(frame.ref);
            if (frame.type === 'ERROR') asked.reject(errorOf(frame));
            else asked.resolve(frame);
            return;
        }
        if (frame.type === 'GOODBYE') this.goodbye = frame;
        this.emit(frame.type, frame);
    }

    // "A client that hears nothing for two intervals should likewise give up the link."
    onLife() {
        clearTimeout(this.deadline);
        if (this.welcome && this.socket.readyState === WebSocket.OPEN) {
            this.deadline = setTimeout(() => this.socket.terminate(), 2 * this.welcome.heartbeatMs);
        }
    }

    onClose(code) {
        clearTimeout(this.deadline);
        for (const { reject } of this.waiting.values()) reject(new LinkLost(this.fault));
        this.waiting.clear();
        this.resolveEnded({ code, goodbye: this.goodbye });
        this.emit('end', { code, goodbye: this.goodbye });
    }
}
