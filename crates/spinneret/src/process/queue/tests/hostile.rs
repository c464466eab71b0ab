//! A queue whose memory was written over by somebody else: errors, but no panic, no access beyond it,
//! no endless loop and no huge allocation. The fuzz target `queue_memory` looks further.

use super::super::hostile::play;

/// Random bytes by `SplitMix64`, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn bytes(&mut self, words: usize) -> Vec<u8> {
        (0..words).flat_map(|_| self.next().to_le_bytes()).collect()
    }
}

#[test]
fn damaged_memory_gives_errors_at_most() {
    // More of them, if asked for.
    let rounds = std::env::var("SPINNERET_HOSTILE_ROUNDS").ok().and_then(|text| text.parse().ok());
    for seed in 1..=rounds.unwrap_or(1) {
        let mut random = Random(seed);
        for _ in 0..400 {
            play(&random.bytes(64));
        }
    }
}
