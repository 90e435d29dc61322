// random.js - chance that can be repeated: its seed is printed, and PIPIT_SEED sets it.

// The generator "mulberry32": small, and good enough to choose moments by.
export class Random {
    constructor() {
        this.state = Number(process.env.PIPIT_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
        console.log(`PIPIT_SEED=${this.state}`);
    }

    // A whole number of 0 to n - 1.
    below(n) {
        this.state = (this.state + 0x6d2b79f5) >>> 0;
        let t = this.state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) % n;
    }
}
