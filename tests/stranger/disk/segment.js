// segment.js - reads the segments of a log folder, sorted and unsorted: docs/disk.md and nothing else.
import { xchacha20poly1305 } from '@noble/ciphers/chacha';
import { xxhash3 } from 'hash-wasm';
import { Bytes, Damage } from './bytes.js';

const MASK = (1n << 64n) - 1n;
export const KIND_MARKS = 3;

// XXH3-64 with a seed, as a number.
export async function checksum(bytes, seed = 0n) {
    const at = seed & MASK;
    return BigInt('0x' + await xxhash3(bytes, Number(at & 0xffffffffn), Number(at >> 32n)));
}

async function expect(bytes, at, seed, want) {
    if (await checksum(bytes, seed) !== want) throw new Damage(at, 'checksum');
}

// ---- the log's record, from the fields of it that a sorted segment keeps, and its seal ----

function headerOf(record) {
    const header = Buffer.alloc(80);    // bytes 12 to 91 of the record: what the seal was made over
    header[0] = 1;
    header[1] = record.kind;
    header.writeUInt16BE(record.flags, 2);
    record.partition.copy(header, 4);
    header.writeUInt32BE(record.log, 20);
    header.writeBigUInt64BE(record.number, 24);
    header.writeBigUInt64BE(record.key, 32);
    header.writeBigUInt64BE(record.sequence, 40);
    record.id.copy(header, 48);
    header.writeBigUInt64BE(record.counted, 64);
    header.writeBigUInt64BE(record.expiry, 72);
    return header;
}

export function open(record, key) {
    const header = headerOf(record);
    const nonce = Buffer.concat([record.id, header.subarray(40, 48)]);
    const inside = new Bytes(Buffer.from(xchacha20poly1305(key, nonce, header).decrypt(record.sealed)));
    if (inside.number(1) !== 1) throw new Damage(0, 'format of an entry');
    if (record.kind === KIND_MARKS) {
        return { marks: Array.from({ length: inside.number(2) }, () => ({
            user: inside.text(1), device: inside.u64(), delivered: inside.u64(), read: inside.u64(), time: inside.u64(),
        })) };
    }
    const fields = inside.number(2);
    const has = bit => fields & (1 << bit);
    const entry = { sender: inside.text(1), device: inside.u64(), clientSequence: inside.u64(), settled: inside.u64() };
    if (has(0)) entry.groupVersion = inside.u64();
    if (has(1)) entry.members = [inside.text(1), inside.text(1)];
    for (const [bit, name] of [[2, 'listVersions'], [3, 'media'], [4, 'wake'], [5, 'body'], [6, 'envelopes']]) {
        if (has(bit)) entry[name] = inside.take(inside.number(4));
    }
    return entry;
}

// ---- an unsorted segment ----

export async function* unsorted(file) {
    const header = new Bytes(file.subarray(0, 48));
    if (header.take(8).toString() !== 'PIPITSEG' || header.number(4) !== 1) throw new Damage(0, 'header');
    const seed = file.readBigUInt64BE(40);
    await expect(file.subarray(0, 40), 0, 0n, seed);
    for (let at = 48; at < file.length;) {
        await expect(file.subarray(at, at + 40), at, seed, file.readBigUInt64BE(at + 40));
        const end = at + 48 + file.readUInt32BE(at + 28);
        await expect(file.subarray(at + 48, end), at, 0n, file.readBigUInt64BE(at + 32));
        for (at += 48; at < end;) {
            const length = file.readUInt32BE(at), whole = file.subarray(at, at + length);
            await expect(whole.subarray(12), at, 0n, whole.readBigUInt64BE(4));
            const r = new Bytes(whole.subarray(13));
            yield {
                kind: r.number(1), flags: r.number(2), partition: r.take(16), log: r.number(4), number: r.u64(),
                key: r.u64(), sequence: r.u64(), id: r.take(16), counted: r.u64(), expiry: r.u64(), sealed: r.rest(),
            };
            at += length;
        }
    }
}

// ---- a sorted segment ----

export class Sorted {
    static async open(file) {
        const seed = file.readBigUInt64BE(32), end = file.length - 168, footer = file.subarray(end);
        if (file.subarray(0, 8).toString() !== 'PIPITSRT' || file.readUInt32BE(8) !== 1) throw new Damage(0, 'header');
        await expect(file.subarray(0, 32), 0, 0n, seed);
        await expect(footer.subarray(0, 160), end, seed + BigInt(end), footer.readBigUInt64BE(160));
        await expect(file.subarray(0, end), end, 0n, footer.readBigUInt64BE(152));
        return Object.assign(new Sorted(), { file, seed, footer, blocks: footer.readBigUInt64BE(40) });
    }

    async piece(at) {
        const end = at + 16 + this.file.readUInt32BE(at + 8);
        await expect(this.file.subarray(at + 8, end), at, this.seed + BigInt(at), this.file.readBigUInt64BE(at));
        const [type, count] = [this.file.readUInt16BE(at + 12), this.file.readUInt16BE(at + 14)];
        return { type, count, end, payload: new Bytes(this.file.subarray(at + 16, end)) };
    }

    // Everything, front to back.
    async* records() {
        for (let at = 40, left = this.blocks; left > 0n;) {
            const piece = await this.piece(at);
            if (piece.type === 0) {
                yield* this.block(piece);
                left--;
            }
            at = piece.end;
        }
    }

    *block({ payload, count }) {
        while (!payload.isAtEnd) {
            const partition = payload.take(16);
            for (let sequence = 0n, length; (length = Number(payload.varint())) > 0; count--) {
                const [kind, flags, log] = [payload.number(1), Number(payload.varint()), Number(payload.varint())];
                const [number, key] = [payload.varint(), payload.varint()];
                sequence += payload.varint();
                const [id, counted, expiry] = [payload.take(16), payload.varint(), payload.varint()];
                yield { partition, kind, flags, log, number, key, sequence, id, counted, expiry,
                        sealed: payload.take(length) };
            }
        }
        if (count !== 0) throw new Damage(0, 'the count of a block');
    }

    // What the filter says of a partition.
    async perhaps(partition) {
        const from = Number(this.footer.readBigUInt64BE(64));
        const count = (Number(this.footer.readBigUInt64BE(72)) - from) / 64;
        const h = await checksum(partition, this.seed), g = (h * 0x9E3779B97F4A7C15n) & MASK;
        const at = from + 64 * Number(h >> BigInt(64 - Math.log2(count)));
        const bits = this.file.subarray(at + 8, at + 64);
        await expect(bits, at, this.seed + BigInt(at), this.file.readBigUInt64BE(at));
        return [0n, 10n, 20n, 30n, 40n, 50n].every(shift => {
            const bit = Math.floor(Number((g >> shift) & 1023n) * 448 / 1024);
            return bits[bit >> 3] >> (bit & 7) & 1;
        });
    }

    // One record: from the top of the index down to the last entry below it, and from that block on forwards.
    async find(partition, sequence) {
        if (this.blocks === 0n || !await this.perhaps(partition)) return null;
        const index = Number(this.footer.readBigUInt64BE(56)), filter = Number(this.footer.readBigUInt64BE(64));
        let at = index, piece;
        while ((piece = await this.piece(at)).end < filter) at = piece.end;    // the top is the last before the filter
        for (; piece.type !== 0; piece = await this.piece(at)) {
            for (let i = 0; i < piece.count; i++) {
                const order = piece.payload.take(16).compare(partition), first = piece.payload.u64();
                const [, offset] = [piece.payload.u64(), piece.payload.u64()];    // the time is not asked for
                if (i > 0 && (order > 0 || (order === 0 && first >= sequence))) break;
                at = Number(offset);
            }
        }
        for (; at < index; at = piece.end) {
            piece = await this.piece(at);
            for (const r of piece.type === 0 ? this.block(piece) : []) {
                const order = r.partition.compare(partition);
                if (order > 0 || (order === 0 && r.sequence > sequence)) return null;
                if (order === 0 && r.sequence === sequence && r.kind !== KIND_MARKS) return r;
            }
        }
        return null;
    }
}
