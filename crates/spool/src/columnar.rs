//! Rows turned into columns for ClickHouse, in its `Native` format: the one that it reads with the least work.
//!
//! A block is: number of columns, number of rows (LEB128 each), then per column its name, its type (LEB128 length and
//! bytes) and its values one behind the other. The file says the types, so a reader needs no other schema.

use std::io::Write;
use std::net::Ipv6Addr;

use crate::reader::Batch;
use crate::row::{read_varint, write_varint};
use crate::schema::{Column, ColumnType, Wire};

/// The rows of one table of a batch as one `Native` block; `None` if the batch has none. An absent value is the default of
/// its type: 0, the empty string, the empty array. The same batch always gives the same bytes.
pub fn native_block(batch: &Batch, table: usize) -> Option<Vec<u8>> {
    let columns = &batch.schema().tables().get(table)?.columns;
    let mut builders: Vec<Builder> = columns.iter().map(Builder::new).collect();
    let mut rows = 0u64;
    for row in batch.rows().filter(|row| row.table_position() == table) {
        row.visit(|position, value| match value {
            Some(value) => builders[position].push(value),
            None => builders[position].push_default(),
        });
        rows += 1;
    }
    if rows == 0 {
        return None;
    }
    let mut block = Vec::with_capacity(builders.iter().map(|builder| builder.values.len() + 64).sum());
    write_varint(&mut block, columns.len() as u64);
    write_varint(&mut block, rows);
    for (column, builder) in columns.iter().zip(&builders) {
        text(&mut block, column.name.as_bytes());
        text(&mut block, clickhouse_type(&column.column_type).as_bytes());
        block.extend_from_slice(&builder.offsets);
        block.extend_from_slice(&builder.values);
    }
    Some(block)
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
        ColumnType::Text | ColumnType::Label | ColumnType::Json | ColumnType::Ip => "String",
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
struct Builder {
    layout: Layout,
    values: Vec<u8>,
    /// For arrays: the number of items up to and with each row.
    offsets: Vec<u8>,
    items: u64,
}

#[derive(Clone, Copy)]
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
}

impl Builder {
    fn new(column: &Column) -> Self {
        let layout = match (&column.column_type, column.column_type.wire()) {
            (ColumnType::Bool, _) => Layout::Unsigned(1),
            (ColumnType::UInt16, _) => Layout::Unsigned(2),
            (ColumnType::UInt32, _) => Layout::Unsigned(4),
            (ColumnType::Ip, _) => Layout::Address,
            (_, Wire::Varint) => Layout::Unsigned(8),
            (_, Wire::Zigzag) => Layout::Signed,
            (_, Wire::Fixed8) => Layout::Eight,
            (_, Wire::Bytes) => Layout::Text,
            (_, Wire::List) => Layout::Array,
        };
        Self { layout, values: Vec::new(), offsets: Vec::new(), items: 0 }
    }

    fn push(&mut self, wire: &[u8]) {
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
            Layout::Text | Layout::Address => self.values.push(0),
            Layout::Array => self.offsets.extend_from_slice(&self.items.to_le_bytes()),
        }
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
