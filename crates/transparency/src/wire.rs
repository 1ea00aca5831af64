//! Protocol Buffers as far as a proof needs them: numbers, tags, and fields that are skipped.
//!
//! What is accepted is what `rust-protobuf` accepts, which `akd` reads proofs with: numbers may be written longer than they
//! need, up to the bytes of their type; unknown fields are skipped, groups among them, nested a hundred deep with what is
//! around them. Where a proof differs on purpose stands in `proof`.

use crate::refusal::Fault;

/// The nesting of messages and groups that is followed.
const DEEPEST: usize = 100;

/// Why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end. With more of them it may go on.
    Ends,
    /// More bytes would not help.
    At(usize, Fault),
}

/// Reads fields from the front of bytes.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many are not.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.left() == 0
    }

    /// A number of at most 32 bits, a tag or a length.
    pub(crate) fn number32(&mut self) -> Result<u32, Stop> {
        // Of five bytes the last has four bits; what is longer is refused even if all of it is zeros.
        self.number(5, 0x0f).map(|number| number as u32)
    }

    /// A number of at most 64 bits.
    pub(crate) fn number64(&mut self) -> Result<u64, Stop> {
        self.number(10, 0x01)
    }

    fn number(&mut self, longest: usize, last_byte_at_most: u8) -> Result<u64, Stop> {
        let mut number = 0;
        for (index, byte) in self.bytes[self.at..].iter().enumerate() {
            if index + 1 == longest && *byte > last_byte_at_most {
                return Err(Stop::At(self.at, Fault::Number));
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.at += index + 1;
                return Ok(number);
            }
        }
        Err(Stop::Ends)
    }

    /// As many bytes as a length says.
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Stop> {
        let left = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| left.get(..length)).ok_or(Stop::Ends)?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Goes on at a place that was read up to before.
    pub(crate) fn go_on_at(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// Skips the field of a tag that was just read, at `began`, and is none of the message's, in a message that is `depth`
    /// deep.
    pub(crate) fn skip(&mut self, began: usize, tag: u32, depth: usize) -> Result<(), Stop> {
        self.skip_noting(began, tag, depth, &mut Groups::default())
    }

    /// As `skip`; where the bytes end in the middle, `groups` is where `skip_groups` goes on with more of them.
    pub(crate) fn skip_noting(
        &mut self,
        began: usize,
        tag: u32,
        depth: usize,
        groups: &mut Groups,
    ) -> Result<(), Stop> {
        self.skip_value(began, began, tag, groups)?;
        self.skip_groups(began, depth, groups)
    }

    /// Skips all that is in the groups that are open, to the end of the outermost.
    pub(crate) fn skip_groups(&mut self, began: usize, depth: usize, groups: &mut Groups) -> Result<(), Stop> {
        while groups.open > 0 {
            // The outermost group is not counted.
            if groups.open - 1 + depth > DEEPEST {
                return Err(Stop::At(began, Fault::Group));
            }
            let at = self.at;
            let tag = self.number32()?;
            self.skip_value(began, at, tag, groups)?;
        }
        Ok(())
    }

    /// Skips the value of a tag that stands at `at`, or opens or closes a group, and notes what is read.
    fn skip_value(&mut self, began: usize, at: usize, tag: u32, groups: &mut Groups) -> Result<(), Stop> {
        match kind_of(tag).ok_or(Stop::At(at, Fault::Tag(tag)))? {
            Kind::Number => {
                self.number64()?;
            }
            Kind::Eight => {
                self.take(8)?;
            }
            Kind::Bytes => {
                let length = self.number32()?;
                self.take(u64::from(length))?;
            }
            Kind::GroupBegins => groups.open += 1,
            Kind::GroupEnds if groups.open == 0 => return Err(Stop::At(began, Fault::Group)),
            Kind::GroupEnds => groups.open -= 1,
            Kind::Four => {
                self.take(4)?;
            }
        }
        groups.at = self.at;
        Ok(())
    }
}

/// The groups that are being skipped: how many are open, and the place behind the last field in them that was whole, so
/// that what comes in many pieces is not read anew with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    open: usize,
    at: usize,
}

impl Groups {
    /// The place to go on at, if a group is open.
    pub(crate) fn place(&self) -> Option<usize> {
        (self.open > 0).then_some(self.at)
    }
}

/// How the value of a field is written.
enum Kind {
    Number,
    Eight,
    Bytes,
    GroupBegins,
    GroupEnds,
    Four,
}

fn kind_of(tag: u32) -> Option<Kind> {
    if tag >> 3 == 0 {
        return None;
    }
    match tag & 7 {
        0 => Some(Kind::Number),
        1 => Some(Kind::Eight),
        2 => Some(Kind::Bytes),
        3 => Some(Kind::GroupBegins),
        4 => Some(Kind::GroupEnds),
        5 => Some(Kind::Four),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_written_longer_than_they_need() {
        assert_eq!(Fields::new(&[0x96, 0x01]).number32(), Ok(150));
        assert_eq!(Fields::new(&[0x81, 0x80, 0x80, 0x80, 0x00]).number32(), Ok(1));
        assert_eq!(Fields::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).number32(), Ok(u32::MAX));
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Fields::new(&longest).number64(), Ok(u64::MAX));
    }

    #[test]
    fn numbers_of_more_bits_than_their_type_are_refused() {
        let fault = Err(Stop::At(0, Fault::Number));
        assert_eq!(Fields::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).number32(), fault);
        assert_eq!(Fields::new(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x00]).number32(), fault);
        let longer = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(Fields::new(&longer).number64(), Err(Stop::At(0, Fault::Number)));
        assert_eq!(Fields::new(&[0x80]).number32(), Err(Stop::Ends));
    }

    fn skips(tag: u32, rest: &[u8]) -> Result<usize, Stop> {
        let mut fields = Fields::new(rest);
        fields.skip(0, tag, 0).map(|()| fields.at())
    }

    #[test]
    fn unknown_fields_of_every_kind_are_skipped() {
        assert_eq!(skips(0x18, &[0x80, 0x01, 9]), Ok(2));
        assert_eq!(skips(0x19, &[0; 9]), Ok(8));
        assert_eq!(skips(0x1a, &[2, 7, 7, 7]), Ok(3));
        assert_eq!(skips(0x1d, &[0; 5]), Ok(4));
        assert_eq!(skips(0x1b, &[0x1b, 0x08, 0x01, 0x1c, 0x0c, 9]), Ok(5));
    }

    #[test]
    fn what_was_read_of_a_group_is_not_read_again() {
        let group = [0x1b, 0x08, 0x01, 0x23, 0x1a, 0x02, 7, 7, 0x24, 0x1c];
        let mut groups = Groups::default();
        let mut places = Vec::new();
        for end in 1..=group.len() {
            let mut fields = Fields::new(&group[..end]);
            let read = if let Some(place) = groups.place() {
                fields.go_on_at(place);
                fields.skip_groups(0, 0, &mut groups)
            } else {
                let tag = fields.number32().unwrap();
                fields.skip_noting(0, tag, 0, &mut groups)
            };
            assert_eq!(read, if end == group.len() { Ok(()) } else { Err(Stop::Ends) });
            places.push(groups.at);
        }
        assert_eq!(places, [1, 1, 3, 4, 4, 4, 4, 8, 9, 10]);
        assert_eq!(groups.place(), None);
    }

    #[test]
    fn what_is_no_field_is_refused_at_its_place() {
        assert_eq!(skips(0x02, &[0]), Err(Stop::At(0, Fault::Tag(2))));
        assert_eq!(skips(0x1e, &[0]), Err(Stop::At(0, Fault::Tag(0x1e))));
        assert_eq!(skips(0x1c, &[0]), Err(Stop::At(0, Fault::Group)));
        assert_eq!(skips(0x1b, &[0x08, 0x01, 0x07, 0x1c]), Err(Stop::At(2, Fault::Tag(7))));
        assert_eq!(skips(0x1b, &[0x08, 0x01]), Err(Stop::Ends));
    }
}
