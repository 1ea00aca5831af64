//! Rows turned into columns for ClickHouse, in its `Native` format: the one that it reads with the least work.
//!
//! A block is: number of columns, number of rows (LEB128 each), then per column its name, its type (LEB128 length and
//! bytes) and its values one behind the other. The file says the types, so a reader needs no other schema.
//!
//! Labels go as ClickHouse keeps them: each different one once, and for each row which it is. Else ClickHouse would have to
//! find that out, at a cost of its own for each value.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::Ipv6Addr;

use crate::reader::Batch;
use crate::row::{read_varint, write_varint};
use crate::schema::{Column, ColumnType, Wire};

/// The rows of one table of a batch as one `Native` block; `None` if the batch has none. An absent value is the default of
/// its type: 0, the empty string, the empty array. The same batch always gives the same bytes.
pub fn native_block(batch: &Batch, table: usize) -> Option<NativeBlock<'_>> {
    let columns = &batch.schema().tables().get(table)?.columns;
    let mut builders: Vec<Builder<'_>> = columns.iter().map(Builder::new).collect();
    let mut rows = 0u64;
    for row in batch.rows().filter(|row| row.table_position() == table) {
        row.visit(|position, value| match value {
            Some(value) => builders[position].push(value),
            None => builders[position].push_default(),
        });
        rows += 1;
    }
    (rows > 0).then_some(NativeBlock { rows, columns, builders })
}

/// A block that is ready but for being put together, which is done where its bytes are to be: it can be large.
#[derive(Debug)]
pub struct NativeBlock<'a> {
    rows: u64,
    columns: &'a [Column],
    builders: Vec<Builder<'a>>,
}

impl NativeBlock<'_> {
    /// How many bytes it has.
    pub fn length(&self) -> usize {
        let heads: usize = self.heads().map(|(_, head)| head.len()).sum();
        heads + self.builders.iter().map(Builder::length).sum::<usize>()
    }

    /// Writes its bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        for (builder, head) in self.heads() {
            out.write_all(&head)?;
            if let Some(builder) = builder {
                builder.write_to(out)?;
            }
        }
        Ok(())
    }

    /// Its bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length());
        // Writing to a Vec cannot fail.
        let _ = self.write_to(&mut bytes);
        bytes
    }

    /// What stands before the values of each column, first of all what opens the block.
    fn heads(&self) -> impl Iterator<Item = (Option<&Builder<'_>>, Vec<u8>)> {
        let mut opening = Vec::new();
        write_varint(&mut opening, self.columns.len() as u64);
        write_varint(&mut opening, self.rows);
        let of_columns = self.columns.iter().zip(&self.builders).map(|(column, builder)| {
            let mut head = Vec::new();
            text(&mut head, column.name.as_bytes());
            text(&mut head, clickhouse_type(&column.column_type).as_bytes());
            (Some(builder), head)
        });
        std::iter::once((None, opening)).chain(of_columns)
    }
}

fn clickhouse_type(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Bool => "Bool",
        ColumnType::UInt16 => "UInt16",
        ColumnType::UInt32 => "UInt32",
        ColumnType::Int64 => "Int64",
        ColumnType::Float64 => "Float64",
        ColumnType::Timestamp => "DateTime64(9, 'UTC')",
        ColumnType::UInt64 => "UInt64",
        ColumnType::Text | ColumnType::Json | ColumnType::Ip => "String",
        ColumnType::Label => "LowCardinality(String)",
        ColumnType::Labels => "Array(String)",
        ColumnType::Other(_, wire) => match wire {
            Wire::Varint | Wire::Fixed8 => "UInt64",
            Wire::Zigzag => "Int64",
            Wire::Bytes => "String",
            Wire::List => "Array(String)",
        },
    }
}

/// The values of one column.
#[derive(Debug)]
struct Builder<'a> {
    layout: Layout,
    /// Of labels: each different one.
    values: Vec<u8>,
    /// For arrays: the number of items up to and with each row.
    offsets: Vec<u8>,
    items: u64,
    labels: Labels<'a>,
}

/// Which of the different labels of a column each row has, in the order of their first rows.
#[derive(Debug, Default)]
struct Labels<'a> {
    /// The place of each by its wire form. Visitors choose some labels, so hashing is keyed.
    places: HashMap<&'a [u8], u32>,
    of_rows: Vec<u32>,
    last: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    /// A number that the spool keeps as LEB128, in so many bytes.
    Unsigned(usize),
    Signed,
    Eight,
    /// The same in both: LEB128 length and bytes.
    Text,
    Address,
    /// The same in both but for the count, which ClickHouse keeps apart.
    Array,
    Label,
}

impl Labels<'_> {
    /// How ClickHouse calls the width of a place, and that width in bytes.
    fn width(&self) -> (u64, usize) {
        match self.places.len() {
            0..=0x100 => (0, 1),
            0x101..=0x1_0000 => (1, 2),
            _ => (2, 4),
        }
    }
}

/// The wire form of an empty text.
const EMPTY: &[u8] = &[0];

/// How ClickHouse says that a block of labels brings its own dictionary: for the column, and beside the width of a place.
const DICTIONARIES: u64 = 1;
const OWN_DICTIONARY: u64 = 1 << 9 | 1 << 10;

impl<'a> Builder<'a> {
    fn new(column: &Column) -> Self {
        let layout = match (&column.column_type, column.column_type.wire()) {
            (ColumnType::Bool, _) => Layout::Unsigned(1),
            (ColumnType::UInt16, _) => Layout::Unsigned(2),
            (ColumnType::UInt32, _) => Layout::Unsigned(4),
            (ColumnType::Ip, _) => Layout::Address,
            (ColumnType::Label, _) => Layout::Label,
            (_, Wire::Varint) => Layout::Unsigned(8),
            (_, Wire::Zigzag) => Layout::Signed,
            (_, Wire::Fixed8) => Layout::Eight,
            (_, Wire::Bytes) => Layout::Text,
            (_, Wire::List) => Layout::Array,
        };
        Self { layout, values: Vec::new(), offsets: Vec::new(), items: 0, labels: Labels::default() }
    }

    fn push(&mut self, wire: &'a [u8]) {
        let number = || read_varint(wire).map_or(0, |(number, _)| number);
        match self.layout {
            Layout::Unsigned(size) => self.values.extend_from_slice(&number().to_le_bytes()[..size]),
            Layout::Signed => {
                let folded = number();
                let value = (folded >> 1) as i64 ^ -((folded & 1) as i64);
                self.values.extend_from_slice(&value.to_le_bytes());
            }
            Layout::Eight | Layout::Text => self.values.extend_from_slice(wire),
            Layout::Address => self.push_address(&wire[1..]),
            Layout::Label => self.push_label(wire),
            Layout::Array => {
                let (count, items) = read_varint(wire).unwrap_or((0, &[]));
                self.values.extend_from_slice(items);
                self.items += count;
                self.offsets.extend_from_slice(&self.items.to_le_bytes());
            }
        }
    }

    fn push_default(&mut self) {
        match self.layout {
            Layout::Unsigned(size) => self.values.extend_from_slice(&[0; 8][..size]),
            Layout::Signed | Layout::Eight => self.values.extend_from_slice(&[0; 8]),
            Layout::Text | Layout::Address => self.values.extend_from_slice(EMPTY),
            Layout::Label => self.push_label(EMPTY),
            Layout::Array => self.offsets.extend_from_slice(&self.items.to_le_bytes()),
        }
    }

    fn push_label(&mut self, wire: &'a [u8]) {
        let labels = &mut self.labels;
        if let (true, Some(&place)) = (labels.last == wire, labels.of_rows.last()) {
            labels.of_rows.push(place);
            return;
        }
        let next = labels.places.len() as u32;
        let place = *labels.places.entry(wire).or_insert_with(|| {
            self.values.extend_from_slice(wire);
            next
        });
        labels.of_rows.push(place);
        labels.last = wire;
    }

    /// How many bytes `write_to` writes.
    fn length(&self) -> usize {
        let of_labels = match self.layout {
            Layout::Label => 4 * size_of::<u64>() + self.labels.of_rows.len() * self.labels.width().1,
            _ => 0,
        };
        self.offsets.len() + self.values.len() + of_labels
    }

    /// Writes the values of all rows as ClickHouse lays them out.
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let Layout::Label = self.layout else {
            out.write_all(&self.offsets)?;
            return out.write_all(&self.values);
        };
        let (kind, width) = self.labels.width();
        for number in [DICTIONARIES, OWN_DICTIONARY | kind, self.labels.places.len() as u64] {
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(&self.values)?;
        out.write_all(&(self.labels.of_rows.len() as u64).to_le_bytes())?;
        self.labels.of_rows.iter().try_for_each(|place| out.write_all(&place.to_le_bytes()[..width]))
    }

    /// An address as text, its length in front; the longest has 39 bytes, so the length is one byte.
    fn push_address(&mut self, address: &[u8]) {
        let at = self.values.len();
        self.values.push(0);
        // Writing to a Vec cannot fail.
        let _ = match *address {
            [a, b, c, d] => write!(self.values, "{a}.{b}.{c}.{d}"),
            _ => match <[u8; 16]>::try_from(address) {
                Ok(sixteen) => write!(self.values, "{}", Ipv6Addr::from(sixteen)),
                Err(_) => Ok(()),
            },
        };
        self.values[at] = (self.values.len() - at - 1) as u8;
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
