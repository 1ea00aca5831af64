//! As much of HPACK (RFC 7541) as it takes to name the fields of a connection's first header block, in order.
//!
//! A fresh decoder sees one block, so the dynamic table begins empty and the peer knows none of our settings: its limit
//! is the default 4,096 bytes. Values are read only for their length, which decides what the table evicts.

use std::collections::VecDeque;

use crate::huffman;

/// The size of the dynamic table before any SETTINGS of ours is acknowledged (RFC 9113 §6.5.2).
const DEFAULT_TABLE_BYTES: usize = 4096;
/// What an entry costs beyond its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;
/// The most that the names may come to, each with its overhead: an index of one byte can stand for a name of 4 KiB.
const MAX_NAMES_BYTES: usize = 64 * 1024;

/// The header block is broken, or names more than [`MAX_NAMES_BYTES`].
#[derive(Debug)]
pub(crate) struct BadBlock;

/// Decodes one header block.
pub(crate) struct Decoder {
    /// Newest first: the name, and the size of the whole entry.
    table: VecDeque<(Vec<u8>, usize)>,
    table_bytes: usize,
    table_limit: usize,
}

impl Decoder {
    /// A decoder with an empty dynamic table.
    pub(crate) fn new() -> Self {
        Self { table: VecDeque::new(), table_bytes: 0, table_limit: DEFAULT_TABLE_BYTES }
    }

    /// The names of all fields of the block, in order.
    pub(crate) fn names(&mut self, block: &[u8]) -> Result<Vec<Vec<u8>>, BadBlock> {
        let mut input = Input { rest: block };
        let mut names = Vec::with_capacity(16);
        let mut budget = MAX_NAMES_BYTES;
        let mut scratch = Vec::new();
        while let Some(&first) = input.rest.first() {
            let name = match first {
                // An indexed field (§6.1).
                0x80.. => self.name_at(input.integer(7)?)?.to_vec(),
                // A literal that enters the table (§6.2.1).
                0x40..0x80 => {
                    let name = self.literal_name(&mut input, 6)?;
                    let value_bytes = input.string_length(&mut scratch)?;
                    self.insert(&name, value_bytes);
                    name
                }
                // A change of the table's size (§6.3), allowed before the first field only (§4.2).
                0x20..0x40 => {
                    let limit = input.integer(5)?;
                    if limit > DEFAULT_TABLE_BYTES || !names.is_empty() {
                        return Err(BadBlock);
                    }
                    self.table_limit = limit;
                    self.evict();
                    continue;
                }
                // A literal that stays out of the table, never indexed or merely not (§6.2.2, §6.2.3).
                _ => {
                    let name = self.literal_name(&mut input, 4)?;
                    input.string_length(&mut scratch)?;
                    name
                }
            };
            budget = budget.checked_sub(name.len() + ENTRY_OVERHEAD).ok_or(BadBlock)?;
            names.push(name);
        }
        Ok(names)
    }

    fn literal_name(&self, input: &mut Input<'_>, prefix_bits: u32) -> Result<Vec<u8>, BadBlock> {
        let index = input.integer(prefix_bits)?;
        if index > 0 {
            return self.name_at(index).map(<[u8]>::to_vec);
        }
        let mut name = Vec::new();
        input.string(&mut name)?;
        Ok(name)
    }

    fn name_at(&self, index: usize) -> Result<&[u8], BadBlock> {
        let index = index.checked_sub(1).ok_or(BadBlock)?;
        if let Some(name) = STATIC_NAMES.get(index) {
            return Ok(name.as_bytes());
        }
        self.table.get(index - STATIC_NAMES.len()).map(|(name, _)| name.as_slice()).ok_or(BadBlock)
    }

    fn insert(&mut self, name: &[u8], value_bytes: usize) {
        let size = name.len() + value_bytes + ENTRY_OVERHEAD;
        self.table.push_front((name.to_vec(), size));
        self.table_bytes += size;
        self.evict(); // An entry larger than the table empties it and is itself gone (§4.4).
    }

    fn evict(&mut self) {
        #[cfg(feature = "planted")]
        assert!(
            self.table_limit == DEFAULT_TABLE_BYTES || self.table_bytes <= self.table_limit || self.table.len() < 4,
            "planted: a fourth entry makes a resized table evict"
        );
        while self.table_bytes > self.table_limit {
            let Some((_, size)) = self.table.pop_back() else { break };
            self.table_bytes -= size;
        }
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn u8(&mut self) -> Result<u8, BadBlock> {
        let (&byte, rest) = self.rest.split_first().ok_or(BadBlock)?;
        self.rest = rest;
        Ok(byte)
    }

    /// An integer whose first bits are the last `prefix_bits` of the next octet (§5.1).
    fn integer(&mut self, prefix_bits: u32) -> Result<usize, BadBlock> {
        let mask = (1_usize << prefix_bits) - 1;
        let mut value = usize::from(self.u8()?) & mask;
        if value < mask {
            return Ok(value);
        }
        // Four octets reach 2^28, far beyond any block that gets here.
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.u8()?);
            value += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BadBlock)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), BadBlock> {
        let (is_huffman, octets) = self.string_octets()?;
        if is_huffman {
            return huffman::decode(octets, out).map_err(|_| BadBlock);
        }
        out.extend_from_slice(octets);
        Ok(())
    }

    /// The length of a string once decoded.
    fn string_length(&mut self, scratch: &mut Vec<u8>) -> Result<usize, BadBlock> {
        let (is_huffman, octets) = self.string_octets()?;
        if !is_huffman {
            return Ok(octets.len());
        }
        scratch.clear();
        huffman::decode(octets, scratch).map_err(|_| BadBlock)?;
        Ok(scratch.len())
    }

    fn string_octets(&mut self) -> Result<(bool, &'a [u8]), BadBlock> {
        let is_huffman = self.rest.first().ok_or(BadBlock)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (octets, rest) = self.rest.split_at_checked(length).ok_or(BadBlock)?;
        self.rest = rest;
        Ok((is_huffman, octets))
    }
}

/// The names of the static table (RFC 7541 Appendix A).
#[rustfmt::skip]
const STATIC_NAMES: [&str; 61] = [
    ":authority", ":method", ":method", ":path", ":path", ":scheme", ":scheme", ":status", ":status", ":status",
    ":status", ":status", ":status", ":status", "accept-charset", "accept-encoding", "accept-language",
    "accept-ranges", "accept", "access-control-allow-origin", "age", "allow", "authorization", "cache-control",
    "content-disposition", "content-encoding", "content-language", "content-length", "content-location",
    "content-range", "content-type", "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "link", "location",
    "max-forwards", "proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after",
    "server", "set-cookie", "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via",
    "www-authenticate",
];

#[cfg(test)]
mod tests {
    use super::{DEFAULT_TABLE_BYTES, Decoder};

    fn names(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<String>> {
        let names = decoder.names(block).ok()?;
        Some(names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect())
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn the_request_examples_of_the_standard_are_read() {
        // RFC 7541 C.3 (plain) and C.4 (Huffman): three requests on one connection, the third reads what the second put
        // into the table.
        let plain = [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ];
        let huffman = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::new();
            let read: Vec<_> = blocks.iter().map(|block| names(&mut decoder, &hex(block)).unwrap()).collect();
            assert_eq!(read[0], [":method", ":scheme", ":path", ":authority"]);
            assert_eq!(read[1], [":method", ":scheme", ":path", ":authority", "cache-control"]);
            assert_eq!(read[2], [":method", ":scheme", ":path", ":authority", "custom-key"]);
            assert_eq!(decoder.table_bytes, 164, "the table of C.3.3 and C.4.3");
        }
    }

    #[test]
    fn the_table_evicts_by_decoded_size() {
        // RFC 7541 C.6 has a table of 256 bytes; here it is set by the block itself (3f e1 01 = 256).
        let mut decoder = Decoder::new();
        let first = hex(
            "3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82\
             ae43d3",
        );
        assert_eq!(names(&mut decoder, &first).unwrap(), [":status", "cache-control", "date", "location"]);
        assert_eq!(decoder.table_bytes, 222);
        assert_eq!(
            names(&mut decoder, &hex("4883640effc1c0bf")).unwrap(),
            [":status", "cache-control", "date", "location"]
        );
        assert_eq!(decoder.table_bytes, 222, "the oldest entry went");
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut decoder = Decoder::new();
        let mut block = hex("4001610162"); // a: b
        block.extend([0x40, 1, b'c', 0x7f, 0x81, 0x1f]); // c: a value of 127 + 1 + 31 * 128 = 4,096 bytes
        block.extend(vec![b'v'; 4096]);
        assert_eq!(names(&mut decoder, &block).unwrap(), ["a", "c"]);
        assert_eq!((decoder.table.len(), decoder.table_bytes), (0, 0));
    }

    #[test]
    fn broken_blocks_are_refused() {
        let too_large_table = format!("3f{}", "e21f"); // 31 + 98 + 31 * 128 = 4,097
        let cases = [
            ("index 0", "80"),
            ("index past both tables", "be"),
            ("name index past both tables", "7e0161"),
            ("string cut short", "400a6162"),
            ("value missing", "400161"),
            ("integer cut short", "ff"),
            ("integer too long", "ffffffffffff01"),
            ("table above the limit", too_large_table.as_str()),
            ("table size after a field", "8220"),
            ("bad Huffman code", "4081ff0161"),
        ];
        for (what, block) in cases {
            assert!(names(&mut Decoder::new(), &hex(block)).is_none(), "{what}");
        }
        assert_eq!(DEFAULT_TABLE_BYTES, 4096);
    }

    #[test]
    fn an_index_cannot_be_used_to_copy_a_long_name_without_end() {
        // One field with a name of 4,000 bytes enters the table, then one octet repeats it.
        let mut block = vec![0x40, 0x7f, 0xa1, 0x1e]; // 127 + 33 + 30 * 128 = 4,000
        block.extend(vec![b'n'; 4000]);
        block.push(0);
        let repeated = |count: usize| [block.as_slice(), &vec![0xbe; count]].concat();
        assert_eq!(names(&mut Decoder::new(), &repeated(15)).unwrap().len(), 16);
        assert!(names(&mut Decoder::new(), &repeated(16)).is_none());
    }
}
