//! Rows turned into columns for ClickHouse, in its `Native` format: the one that it reads with the least work.
//!
//! A block is: number of columns, number of rows (LEB128 each), then per column its name, its type (LEB128 length and
//! bytes) and its values one behind the other. The file says the types, so a reader needs no other schema.

use crate::reader::Batch;
use crate::row::Value;
use crate::schema::{Column, ColumnType, Wire};

/// The rows of one table of a batch as one `Native` block; `None` if the batch has none. An absent value is the default of
/// its type: 0, the empty string, the empty array. The same batch always gives the same bytes.
pub fn native_block(batch: &Batch, table: usize) -> Option<Vec<u8>> {
    let columns = &batch.schema().tables().get(table)?.columns;
    let mut builders: Vec<Builder> = columns.iter().map(Builder::new).collect();
    let mut rows = 0u64;
    for row in batch.rows().filter(|row| row.table_position() == table) {
        let mut values = row.values().peekable();
        for (position, builder) in builders.iter_mut().enumerate() {
            match values.next_if(|(at, _)| *at == position) {
                Some((_, value)) => builder.push(&value),
                None => builder.push_default(),
            }
        }
        rows += 1;
    }
    if rows == 0 {
        return None;
    }
    let mut block = Vec::with_capacity(builders.iter().map(|builder| builder.values.len() + 64).sum());
    varint(&mut block, columns.len() as u64);
    varint(&mut block, rows);
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
    Fixed(usize),
    Text,
    Array,
}

impl Builder {
    fn new(column: &Column) -> Self {
        let layout = match column.column_type {
            ColumnType::Bool => Layout::Fixed(1),
            ColumnType::UInt16 => Layout::Fixed(2),
            ColumnType::UInt32 => Layout::Fixed(4),
            _ => match column.column_type.wire() {
                Wire::Varint | Wire::Zigzag | Wire::Fixed8 => Layout::Fixed(8),
                Wire::Bytes => Layout::Text,
                Wire::List => Layout::Array,
            },
        };
        Self { layout, values: Vec::new(), offsets: Vec::new(), items: 0 }
    }

    fn push(&mut self, value: &Value<'_>) {
        match value {
            Value::Bool(value) => self.fixed(u64::from(*value)),
            Value::UInt(value) | Value::Timestamp(value) => self.fixed(*value),
            Value::Int(value) => self.fixed(*value as u64),
            Value::Float(value) => self.fixed(value.to_bits()),
            Value::Text(value) | Value::Json(value) => text(&mut self.values, value),
            Value::Ip(value) => text(&mut self.values, value.to_string().as_bytes()),
            Value::Labels(labels) => {
                for label in labels {
                    text(&mut self.values, label);
                }
                self.items += labels.len() as u64;
                self.offsets.extend_from_slice(&self.items.to_le_bytes());
            }
        }
    }

    fn push_default(&mut self) {
        match self.layout {
            Layout::Fixed(_) => self.fixed(0),
            Layout::Text => self.values.push(0),
            Layout::Array => self.offsets.extend_from_slice(&self.items.to_le_bytes()),
        }
    }

    fn fixed(&mut self, value: u64) {
        if let Layout::Fixed(size) = self.layout {
            self.values.extend_from_slice(&value.to_le_bytes()[..size]);
        }
    }
}

fn varint(out: &mut Vec<u8>, value: u64) {
    crate::row::write_varint(out, value);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
