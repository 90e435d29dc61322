// bytes.js - takes fields off the front of some bytes; what is not there is damage.
export class Damage extends Error {
    constructor(at, what) {
        super(`${what} at ${at}`);
        this.at = at;
    }
}

export class Bytes {
    constructor(bytes) {
        this.bytes = bytes;
        this.at = 0;
    }

    get isAtEnd() { return this.at === this.bytes.length; }

    take(length) {
        if (length > this.bytes.length - this.at) throw new Damage(this.at, 'too short');
        return this.bytes.subarray(this.at, this.at += length);
    }

    rest() { return this.take(this.bytes.length - this.at); }
    number(length) { return this.take(length).readUIntBE(0, length); }
    u64() { return this.take(8).readBigUInt64BE(); }
    text(lengthBytes) { return this.take(this.number(lengthBytes)).toString(); }

    // 7 bits a byte, the lowest first.
    varint() {
        let value = 0n;
        for (let shift = 0n; ; shift += 7n) {
            const byte = this.number(1);
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
    }
}
