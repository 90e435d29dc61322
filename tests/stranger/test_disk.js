// test_disk.js - the golden files of the log, read from docs/disk.md alone: records, index, filter, damage.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Damage } from './disk/bytes.js';
import { KIND_MARKS, Sorted } from './disk/segment.js';
import { readRecords, show } from './disk/show.js';
import { tell } from './harness/tell.js';

const golden = name => fileURLToPath(new URL(`../golden/disk/${name}`, import.meta.url));
const SORTED = 'sorted-0000000000000007.seg';

await tell({
    async an_unsorted_segment_says_what_was_written() {
        assert.equal(await show(golden('keys.txt'), golden('0001-0000000000000001.seg')),
            readFileSync(golden('unsorted.txt'), 'utf8'));
    },

    async a_sorted_segment_says_what_was_written() {
        assert.equal(await show(golden('keys.txt'), golden(SORTED)), readFileSync(golden('sorted.txt'), 'utf8'));
    },

    async index_and_filter_lead_to_every_record_and_to_no_other() {
        const sorted = await Sorted.open(readFileSync(golden(SORTED)));
        for (const record of await readRecords(golden(SORTED))) {
            if (record.kind === KIND_MARKS) continue;
            assert.deepEqual(await sorted.find(record.partition, record.sequence), record);
            assert.equal(await sorted.find(record.partition, record.sequence + 100n), null);
        }
        let perhaps = 0;
        for (let i = 0; i < 1000; i++) perhaps += await sorted.perhaps(Buffer.alloc(16, `not ${i}`));
        assert.ok(perhaps < 20, `${perhaps} of 1000`);
    },

    async a_flipped_byte_is_damage() {
        const good = readFileSync(golden(SORTED));
        for (let at = 0; at < good.length; at += 7) {
            const file = Buffer.from(good);
            file[at] ^= 0x10;
            await assert.rejects(Sorted.open(file), error => error instanceof Damage || error instanceof RangeError);
        }
    },
});
