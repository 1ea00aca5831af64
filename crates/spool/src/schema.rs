//! Tables, columns and their types: what a segment's header says about the rows behind it.
//!
//! A column has a type, which says what the value means, and a wire form, which says how its bytes are laid out. A reader
//! that does not know a type can still step over its values by their wire form, so types may be added within a version.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How the bytes of a value are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Unsigned LEB128, at most ten bytes.
    Varint,
    /// Signed integer folded by zigzag, then LEB128.
    Zigzag,
    /// Eight bytes.
    Fixed8,
    /// LEB128 length, then that many bytes.
    Bytes,
    /// LEB128 count, then that many `Bytes`.
    List,
}

macro_rules! column_types {
    ($($(#[$doc:meta])* $name:ident $text:literal $wire:ident;)*) => {
        /// What the values of a column mean.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum ColumnType {
            $($(#[$doc])* $name,)*
            /// A type that a newer release wrote; its values are kept by their wire form.
            Other(String, Wire),
        }

        impl ColumnType {
            /// The name in a segment's header.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(name, _) => name,
                }
            }

            /// The layout of the values.
            pub const fn wire(&self) -> Wire {
                match self {
                    $(Self::$name => Wire::$wire,)*
                    Self::Other(_, wire) => *wire,
                }
            }

            fn from_header(name: String, wire: Wire) -> Self {
                match name.as_str() {
                    $($text if wire == Wire::$wire => Self::$name,)*
                    _ => Self::Other(name, wire),
                }
            }
        }

        /// The column types as types, so that a value of the wrong one does not compile.
        pub mod kind {
            $($(#[$doc])* #[derive(Debug)] pub struct $name;)*
        }
    };
}

column_types! {
    /// True or false.
    Bool "bool" Varint;
    /// 0 to 65,535: a port, a status.
    UInt16 "uint16" Varint;
    /// 0 to 4,294,967,295: a duration in milliseconds.
    UInt32 "uint32" Varint;
    /// 0 to 2^64-1: a number of bytes.
    UInt64 "uint64" Varint;
    /// A signed integer.
    Int64 "int64" Zigzag;
    /// An IEEE 754 double.
    Float64 "float64" Fixed8;
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp "timestamp" Fixed8;
    /// Bytes, nearly always UTF-8, of which many differ: a path, a Ray ID.
    Text "text" Bytes;
    /// Text of which few differ: a method, an action. Stores may keep it in a dictionary.
    Label "label" Bytes;
    /// One JSON document.
    Json "json" Bytes;
    /// An IP address: 4 or 16 bytes in network order.
    Ip "ip" Bytes;
    /// A list of labels.
    Labels "labels" List;
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HeaderColumn", into = "HeaderColumn")]
pub struct Column {
    /// The name, spelled as stores and consumers spell it.
    pub name: Cow<'static, str>,
    /// What its values mean.
    pub column_type: ColumnType,
    /// What the column holds, in one sentence; empty in a schema that was read from a segment.
    pub summary: Cow<'static, str>,
}

impl Column {
    /// A column; usable in a `const` or `static`.
    pub const fn new(name: &'static str, column_type: ColumnType, summary: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), column_type, summary: Cow::Borrowed(summary) }
    }
}

#[derive(Serialize, Deserialize)]
struct HeaderColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: String,
    wire: Wire,
}

impl From<Column> for HeaderColumn {
    fn from(column: Column) -> Self {
        Self {
            name: column.name.into_owned(),
            wire: column.column_type.wire(),
            column_type: column.column_type.name().to_owned(),
        }
    }
}

impl From<HeaderColumn> for Column {
    fn from(column: HeaderColumn) -> Self {
        Self {
            name: Cow::Owned(column.name),
            column_type: ColumnType::from_header(column.column_type, column.wire),
            summary: Cow::Borrowed(""),
        }
    }
}

/// A table: a name and its columns in the order in which rows carry them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The name, spelled as stores and consumers spell it.
    pub name: Cow<'static, str>,
    /// The columns, in row order.
    pub columns: Cow<'static, [Column]>,
}

impl Table {
    /// A table from a list made at run time.
    pub fn new(name: &'static str, columns: Vec<Column>) -> Self {
        Self { name: Cow::Borrowed(name), columns: Cow::Owned(columns) }
    }

    /// A table from a static list.
    pub const fn from_static(name: &'static str, columns: &'static [Column]) -> Self {
        Self { name: Cow::Borrowed(name), columns: Cow::Borrowed(columns) }
    }

    /// The position of the column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// The tables of a spool; a row names its table by its position here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    tables: Vec<Table>,
}

impl Schema {
    /// Checks and keeps the tables: 1 to 255 of them, each of 1 to 4,096 columns, no name twice.
    ///
    /// # Errors
    /// [`Error::Schema`] names the table and column at fault.
    pub fn new(tables: Vec<Table>) -> Result<Self, Error> {
        let schema = Self { tables };
        schema.check()?;
        Ok(schema)
    }

    /// The tables in order.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table of that name with its position.
    pub fn table(&self, name: &str) -> Option<(usize, &Table)> {
        self.tables.iter().enumerate().find(|(_, table)| table.name == name)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.tables.is_empty() || self.tables.len() > 255 {
            return Err(Error::Schema(format!("{} tables; 1 to 255 are possible", self.tables.len())));
        }
        let mut tables = HashSet::new();
        for table in &self.tables {
            if !tables.insert(&table.name) {
                return Err(Error::Schema(format!("table {} stands twice", table.name)));
            }
            if table.columns.is_empty() || table.columns.len() > 4096 {
                let columns = table.columns.len();
                return Err(Error::Schema(format!(
                    "table {} has {columns} columns; 1 to 4096 are possible",
                    table.name
                )));
            }
            let mut columns = HashSet::new();
            for column in table.columns.iter() {
                if !columns.insert(&column.name) {
                    return Err(Error::Schema(format!("table {}: column {} stands twice", table.name, column.name)));
                }
            }
        }
        Ok(())
    }
}
