//! What an auditor signs: it verifies as it was signed, and in no other way under any change of it, of the signature or of
//! the key.
//!
//! The first byte says the suite and what is changed, the second how the rest is shared out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use transparency::signature::{Ciphersuite, SigningKey, Statement};

fuzz_target!(|input: &[u8]| {
    let [first, second, rest @ ..] = input else { return };
    let Some((numbers, rest)) = rest.split_first_chunk::<16>() else { return };
    let ciphersuite = if first & 1 == 0 { Ciphersuite::ProtobufEd25519 } else { Ciphersuite::BincodeEd25519 };
    let (namespace, rest) = rest.split_at(rest.len().min(usize::from(second & 15)));
    let (digest, change) = rest.split_at(rest.len().min(usize::from(second >> 2)));
    let Ok(namespace) = std::str::from_utf8(namespace) else { return };
    let (timestamp, epoch) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let statement = Statement { ciphersuite, namespace, timestamp: number(timestamp), epoch: number(epoch), digest };

    let key = SigningKey::from_seed(&[9; 32]);
    let (mut public_key, mut signature) = (key.public_key().to_vec(), key.sign(&statement).to_vec());
    assert_eq!(statement.verify(&public_key, &signature), Ok(()));
    let (target, stated) = match first >> 1 & 3 {
        0 => (&mut public_key, statement),
        1 => (&mut signature, statement),
        2 => (&mut signature, Statement { digest: change, ..statement }),
        _ => (&mut signature, Statement { epoch: statement.epoch ^ change.len() as u64, ..statement }),
    };
    if first >> 1 & 3 < 2 {
        for (byte, change) in target.iter_mut().zip(change) {
            *byte ^= change;
        }
        target.truncate(target.len() - usize::from(first >> 3 & 1));
    }
    let same = stated == statement && public_key == key.public_key() && signature == key.sign(&statement);
    assert_eq!(stated.verify(&public_key, &signature).is_ok(), same);
});
