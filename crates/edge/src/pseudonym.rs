//! The addresses of clients as events keep them: whole, cut to a network, or under a name that holds for a day.
//!
//! A pseudonym is a keyed hash, so that who reads events can count and follow the clients of a day and find out none of
//! them, not by trying all addresses either. Its key is random, belongs to one day (UTC) and is overwritten by the next one:
//! the days of a client cannot be joined, and nobody can compute the pseudonyms of a day that is over.
//!
//! A pseudonym is written as an address of `100::/64`, which no client has (RFC 6666: packets to it are discarded). So every
//! store and every consumer takes it where it takes an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// How events keep the addresses of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAddress {
    /// As they are.
    #[default]
    Full,
    /// The network: 24 bits of an IPv4 address, 48 of an IPv6 address.
    Truncated,
    /// A pseudonym.
    Hashed,
}

const DAY_S: u64 = 86_400;
const SECRET: usize = 32;
/// In the file: the number of the day, little-endian, and the secret.
const FILE: usize = 8 + SECRET;

/// The key of the day.
pub struct Pseudonyms {
    file: Option<PathBuf>,
    key: ArcSwap<DayKey>,
    changing: Mutex<()>,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pseudonyms").field("file", &self.file).finish_non_exhaustive()
    }
}

struct DayKey {
    day: u64,
    key: hmac::Key,
}

impl Pseudonyms {
    /// With the key in `file` if that is of today, else with a new one that is written there; without a file it is kept in
    /// memory alone, and a restart begins anew.
    ///
    /// # Errors
    /// The file cannot be read or written, or the system gives no random bytes.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        let today = day_of(SystemTime::now());
        let kept = match file.map(std::fs::read) {
            Some(Ok(bytes)) => DayKey::from_file(&bytes).filter(|key| key.day == today),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => None,
        };
        let key = if let Some(key) = kept {
            key
        } else {
            let (key, bytes) = DayKey::new(today)?;
            if let Some(file) = file {
                crate::service::keep_key(file, &bytes)?;
            }
            key
        };
        Ok(Self { file: file.map(Path::to_owned), key: ArcSwap::from_pointee(key), changing: Mutex::new(()) })
    }

    /// What an event of `now` keeps of an address.
    pub fn kept(&self, how: ClientAddress, address: IpAddr, now: SystemTime) -> IpAddr {
        match how {
            ClientAddress::Full => address,
            ClientAddress::Truncated => network_of(address),
            ClientAddress::Hashed => self.pseudonym(address, day_of(now)),
        }
    }

    fn pseudonym(&self, address: IpAddr, day: u64) -> IpAddr {
        let mut key = self.key.load();
        if is_over(key.day, day) {
            drop(key);
            self.begin(day);
            key = self.key.load();
        }
        let bytes = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        let tag = hmac::sign(&key.key, &bytes);
        let mut pseudonym = [0; 16];
        pseudonym[0] = 1;
        pseudonym[8..].copy_from_slice(&tag.as_ref()[..8]);
        Ipv6Addr::from(pseudonym).into()
    }

    /// Puts a key of that day in the place of the one before, and lets it be written beside: no request waits for a disk.
    fn begin(&self, day: u64) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_over(self.key.load().day, day) {
            return;
        }
        // Without random bytes the day before goes on; the next request tries again.
        let Ok((key, bytes)) = DayKey::new(day) else { return };
        self.key.store(Arc::new(key));
        if let Some(file) = self.file.clone() {
            // Unwritten, the key ends with this process, and the next one has another for the rest of the day.
            let _ = std::thread::Builder::new().name("day-key".into()).spawn(move || {
                let _ = crate::service::keep_key(&file, &bytes);
            });
        }
    }
}

impl DayKey {
    fn new(day: u64) -> io::Result<(Self, [u8; FILE])> {
        let mut bytes = [0; FILE];
        bytes[..8].copy_from_slice(&day.to_le_bytes());
        let filled = SystemRandom::new().fill(&mut bytes[8..]);
        filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Ok((Self::of(day, &bytes[8..]), bytes))
    }

    fn from_file(bytes: &[u8]) -> Option<Self> {
        let (day, secret) = bytes.split_first_chunk::<8>()?;
        (secret.len() == SECRET).then(|| Self::of(u64::from_le_bytes(*day), secret))
    }

    fn of(day: u64, secret: &[u8]) -> Self {
        Self { day, key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }
}

/// Whether a key of day `of` is done with on day `day`. The clocks of two threads may stand on both sides of midnight, so the
/// day after is not; a clock that was set back by more does end it.
fn is_over(of: u64, day: u64) -> bool {
    day > of || day + 1 < of
}

fn day_of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / DAY_S)
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn hashed(names: &Pseudonyms, text: &str, day: u64) -> IpAddr {
        names.kept(ClientAddress::Hashed, address(text), SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY_S + 7))
    }

    #[test]
    fn an_address_is_kept_whole_or_as_its_network() {
        let names = Pseudonyms::open(None).unwrap();
        let kept = |how, text| names.kept(how, address(text), SystemTime::now());
        assert_eq!(kept(ClientAddress::Full, "192.0.2.77"), address("192.0.2.77"));
        assert_eq!(kept(ClientAddress::Truncated, "192.0.2.77"), address("192.0.2.0"));
        assert_eq!(kept(ClientAddress::Truncated, "2001:db8:1:2:3::4"), address("2001:db8:1::"));
    }

    #[test]
    fn a_pseudonym_holds_for_a_day_and_is_no_address_of_a_client() {
        let names = Pseudonyms::open(None).unwrap();
        let today = day_of(SystemTime::now());
        let one = hashed(&names, "192.0.2.77", today);
        assert_eq!(one, hashed(&names, "192.0.2.77", today));
        assert_ne!(one, hashed(&names, "192.0.2.78", today));
        assert!(one.to_string().starts_with("100::"), "{one}");
        let tomorrow = hashed(&names, "192.0.2.77", today + 1);
        assert_ne!(one, tomorrow);
        assert_eq!(tomorrow, hashed(&names, "192.0.2.77", today), "a clock just before midnight");
        assert_ne!(tomorrow, hashed(&names, "192.0.2.77", today - 1), "a clock that was set back");
        assert_ne!(hashed(&Pseudonyms::open(None).unwrap(), "192.0.2.77", today), one, "a key of its own");
    }

    #[test]
    fn the_key_of_a_day_is_for_its_owner_and_gone_the_day_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("address.key");
        let names = Pseudonyms::open(Some(&file)).unwrap();
        let today = day_of(SystemTime::now());
        let one = hashed(&names, "192.0.2.77", today);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(hashed(&Pseudonyms::open(Some(&file)).unwrap(), "192.0.2.77", today), one, "after a restart");
        let first = std::fs::read(&file).unwrap();
        hashed(&names, "192.0.2.77", today + 1);
        while std::fs::read(&file).unwrap() == first {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(DayKey::from_file(&std::fs::read(&file).unwrap()).unwrap().day, today + 1);
        std::fs::write(&file, b"of another form").unwrap();
        Pseudonyms::open(Some(&file)).unwrap();
        assert_eq!(std::fs::read(&file).unwrap().len(), FILE);
    }
}
