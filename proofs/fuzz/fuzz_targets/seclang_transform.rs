//! A transformation, which the first byte picks, of the other bytes: what it says of them is so. An unchanged text is one that it
//! would not change, no byte comes up that gates do not foresee, none is left that it does not tell, no text grows without bound,
//! and what a buffer held before is of no account.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seclang::bytes::ByteSet;
use seclang::transform::{Growth, Transformation};

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let transformation = Transformation::ALL[usize::from(*first) % Transformation::ALL.len()];
    let (mut made, mut again) = (Vec::new(), b"what was there before".to_vec());
    let changes = transformation.apply(text, &mut made);
    assert_eq!(transformation.apply(text, &mut again), changes);
    let present = ByteSet::present(text);
    if let Some(triggers) = transformation.triggers() {
        assert!(!changes || triggers.intersects(&present), "{transformation:?} changes what it says it does not");
    }
    if !changes {
        return;
    }
    if let Some(left) = transformation.leaves(&present) {
        let has = ByteSet::present(&made);
        assert!(has.is_within(&left), "{transformation:?} leaves a byte that it does not tell");
    }
    assert_eq!(made, again);
    assert_ne!(made, text, "{transformation:?} says it changed what it did not");
    assert!(made.len() <= 3 * text.len() + 64, "{transformation:?} makes {} bytes of {}", made.len(), text.len());
    let cases = |byte: u8| ByteSet::of(&[byte, byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
    let foreseen = present.iter().map(cases).fold(ByteSet::of(b" /"), ByteSet::union);
    let may_grow = match transformation.growth() {
        Growth::Any => true,
        Growth::From(bytes) => foreseen.intersects(bytes),
        Growth::Little => false,
    };
    if !may_grow {
        assert!(made.iter().all(|byte| foreseen.contains(*byte)), "{transformation:?} makes a byte of its own");
    }
});
