// frames.js - "How a frame is written": one MessagePack array, [type, ref, fields...].
//
// The tables of the page stand here as they stand there, so that the two can be laid side by side. A frame in
// JavaScript is { type: 'SEND', ref: 7, to: 'bob', ... }: fields have the page's names in camel case, what is nil is
// null, a user is a string, ids and bytes are Buffers, and a device is the text of 16 hex digits that log-in gives.
// Numbers are numbers; only refs and devices may have 64 bits on the wire, and we choose small refs.
import { encode, decode } from '@msgpack/msgpack';

const optional = kind => ({ kind, optional: true });

export const FRAMES = {
    // Requests
    HELLO: { code: 1, fields: { version: 'number', user: 'user', device: 'device', token: 'bin', agent: 'str' } },
    SEND: {
        code: 2,
        fields: {
            to: 'where', clientSeq: 'number', settled: 'number', body: 'bin', groupVersion: optional('any'),
            listVersions: optional('any'), envelopes: optional('any'), media: optional('any'), wake: optional('any'),
            expireS: optional('number'),
        },
    },
    DELIVERED: { code: 4, fields: { to: 'where', seq: 'number' } },
    READ: { code: 5, fields: { to: 'where', seq: 'number' } },
    HISTORY: {
        code: 6,
        fields: {
            to: 'where', before: optional('number'), after: optional('number'), limit: 'number',
            around: optional('number'),
        },
    },
    DEVICES: { code: 11, fields: { action: 'number', device: optional('device'), name: optional('str') } },
    DELETE: { code: 15, fields: { to: 'where', clientSeq: 'number', settled: 'number', seqs: 'numbers' } },
    INFO: { code: 16, fields: { to: 'where', seq: 'number' } },
    PING: { code: 18, fields: {} },
    TIMER: { code: 19, fields: { to: 'where', clientSeq: 'number', settled: 'number', expireS: 'number' } },
    // Answers
    WELCOME: {
        code: 64,
        fields: {
            nowMs: 'number', heartbeatMs: 'number', generation: 'id', clientSeqMax: 'number', listVersion: 'number',
            server: 'str', limits: 'any',
        },
    },
    ACCEPTED: {
        code: 65,
        fields: { conv: 'id', seq: 'number', id: 'id', clientSeq: 'number', expiryMs: optional('number') },
    },
    PAGE: {
        code: 66,
        fields: { conv: 'id', head: 'number', more: 'bool', records: 'records', gone: optional('ranges') },
    },
    INFO_ANSWER: { code: 67, fields: { conv: 'id', seq: 'number', id: 'id', from: 'user', members: 'infoMembers' } },
    PONG: { code: 68, fields: { nowMs: 'number' } },
    ERROR: {
        code: 69,
        fields: { code: 'number', name: 'str', text: 'str', again: 'bool', againInMs: optional('number') },
    },
    DEVICE_LIST: { code: 70, fields: { version: 'number', devices: 'deviceRows' } },
    // Events
    MESSAGE: {
        code: 96,
        fields: {
            conv: 'id', seq: 'number', id: 'id', kind: 'number', flags: 'number', counted: 'number', from: 'user',
            device: 'device', clientSeq: 'number', members: optional('any'), body: 'bin',
            expiryMs: optional('number'),
        },
    },
    RECEIPT: { code: 97, fields: { conv: 'id', user: 'user', delivered: 'number', read: 'number', timeMs: 'number' } },
    DEVICE_CHANGED: { code: 101, fields: { version: 'number', what: 'number', device: 'device', name: 'str' } },
    SYNCED: { code: 103, fields: {} },
    GOODBYE: { code: 104, fields: { code: 'number', text: 'str', backInMs: 'number' } },
    TOMBSTONE: { code: 105, fields: { conv: 'id', from: 'number', to: 'number' } },
};

const NAMES = new Map(Object.entries(FRAMES).map(([name, { code }]) => [code, name]));

const bytes = value => Buffer.from(value.buffer, value.byteOffset, value.byteLength);

const demand = (holds, what) => { if (!holds) throw new TypeError(`not ${what}`); };

// From the wire, by kind. A number of eight bytes comes as a BigInt, whatever its value is, and a server may choose
// that form for any number; so every number passes through here.
const READ = {
    any: value => value,
    number(value) {
        demand(typeof value === 'bigint' || Number.isInteger(value), 'an integer');
        demand(Number.isSafeInteger(Number(value)) && value >= 0, 'a number that JavaScript can hold');
        return Number(value);
    },
    numbers(values) { demand(Array.isArray(values), 'an array'); return values.map(READ.number); },
    bool(value) { demand(typeof value === 'boolean', 'true or false'); return value; },
    str(value) { demand(typeof value === 'string', 'a str'); return value; },
    user(value) { return READ.str(value); },
    bin(value) { demand(value instanceof Uint8Array, 'a bin'); return bytes(value); },
    id(value) { demand(value instanceof Uint8Array && value.length === 16, 'an id'); return bytes(value); },
    where: value => (typeof value === 'string' ? value : READ.id(value)),
    device(value) {
        demand(typeof value === 'bigint' || Number.isInteger(value), 'a device');
        return BigInt(value).toString(16).padStart(16, '0');
    },
    records(rows) { demand(Array.isArray(rows), 'an array'); return rows.map(row => readFields('MESSAGE', row)); },
    ranges(rows) {
        return rows.map(([from, to]) => ({ from: READ.number(from), to: READ.number(to) }));
    },
    infoMembers(rows) {
        const time = value => (value === null ? null : READ.number(value));
        return rows.map(([user, delivered, read]) => ({ user, deliveredMs: time(delivered), readMs: time(read) }));
    },
    deviceRows(rows) {
        return rows.map(([device, name, created, live, mine]) => ({
            device: READ.device(device), name: READ.str(name), createdMs: READ.number(created),
            liveMs: live === null ? null : READ.number(live), mine: READ.bool(mine),
        }));
    },
};

// To the wire, where that is not the value itself. A number above 32 bits must be a BigInt, or this library would write
// a float, which is no integer to the server.
const WRITE = {
    number: value => (value > 0xffffffff ? BigInt(value) : value),
    numbers: values => values.map(value => WRITE.number(value)),
    device: value => BigInt(`0x${value}`),
};

function readFields(name, values) {
    const fields = {};
    Object.entries(FRAMES[name].fields).forEach(([field, spec], i) => {
        const nil = values[i] === undefined || values[i] === null;
        try {
            demand(!nil || spec.optional, 'there');
            fields[field] = nil ? null : READ[spec.kind ?? spec](values[i]);
        } catch (error) {
            throw new TypeError(`${name}: ${field} is ${error.message}`);
        }
    });
    return fields;    // what stands behind the fields we know is of a newer version
}

// The bytes of a frame. What is nil at the end is left out.
export function encodeFrame({ type, ref = null, ...values }) {
    const { code, fields } = FRAMES[type];
    const row = Object.entries(fields).map(([field, spec]) => {
        const value = values[field] ?? null;
        return value === null ? null : (WRITE[spec.kind ?? spec] ?? READ.any)(value);
    });
    while (row.length > 0 && row[row.length - 1] === null) row.pop();
    return encodeRaw([code, ref, ...row]);
}

// Any value as MessagePack, frame or not.
export function encodeRaw(value) {
    return Buffer.from(encode(value, { useBigInt64: true }));
}

// A frame out of its bytes; null for a type of a newer version. Throws when it is not what the page says.
export function decodeFrame(data) {
    const row = decode(data, { useBigInt64: true });
    demand(Array.isArray(row) && row.length >= 2, 'a frame');
    const name = NAMES.get(READ.number(row[0]));
    if (!name) return null;
    return { type: name, ref: row[1] === null ? null : Number(row[1]), ...readFields(name, row.slice(2)) };
}

// "What a body is": kind 0 is text.
export function textBody(text) {
    return encodeRaw([0, text]);
}

// The text of a body; null when it is of another kind.
export function bodyText(body) {
    let value;
    try {
        value = decode(body, { useBigInt64: true });
    } catch {
        return null;
    }
    return Array.isArray(value) && value[0] === 0 && typeof value[1] === 'string' ? value[1] : null;
}
